/** Made by `scripts/fit-token-estimate.ts`: what each feature and each kind of a pair of letters adds, in tokens. */

/** A pair's weight is (byte - pairZero) / pairScale. */
export const pairZero = 128
export const pairScale = 48

/** Weights of the features in their order, and of the pairs in base64. */
export const packed = {
  o200k: {
    features: [
      0.37, 0.067, 1.445, 0.714, 0.207, 1.14, 0.443, 0.342, 0.075, 0.205, 0.226, 0.141, 0.157, 0.053, 0.219, 0.81, 0.6,
      0.552, 0.501, 1.125, 0.525, 0.773
    ],
    pairs:
      "p5WciXOohK9jnXiJr8HMiputroeVxdeXaGep0YqZkX+bdbnLjL1/h6mAg6CCg5ysjACAkXl4c7V9joB3amaaf11Tnn9wqH+JqVdz446kr0CI" +
      "d6mYaIZ1j96gUS6NXKOFfj57jaCDjm+LrJBup5qnln+zkrGLqpR7sbkSddtnkUVwi7Ord4R7xYxRh32Xho6WcGe/bmRZ2mIkIJbmeohsqIeg" +
      "lm+Omaagj4yQpn29i3zQa5QAi3tLVnGHeG1xjoM/iX9fkH2ZkJ9qdoOoiat9moirdX2Th5eRhHKqu56XipOdn3KgoH+amo85nIaDfISki064" +
      "3F55hWmK34rpdtZosq5cgWg/inKPoIybj4qJT7OJi2emTpKHg12ImlaOq1quj5mqf3mcT1icf3ZysJ6OgomEjZ2fr5GLq8OUcmWVnYN0iIuR" +
      "WqGYpYS+iZmQdEqhgX6Pm66Dnroxj6uJu5yLqcCbgI+snJNz0EiLhZODmIxystC/o4Lx7YiFkSCKzFCZYJBliZC+ZYZyg5RLmniWb7eJZNKE" +
      "soJeeLWNlplub76MjIWFbEGlp6uuhSWKq3ihd4SAfWR0hYiFfXOWw4x+qXTGfXeXfmhk2J6daG6NpndinJycn4esgIyelZiVZYCDkJB6fLMl" +
      "oaKrXlr5gKM392qUhopkjoJQbZKngo+7e4OgdJF7j5WqrWVjhJiPho2TmHtzXbyMlHWhdY19h5cAgplzkW+lfHC7lZ+YI5Wjf4N3haSXmT7b" +
      "qnPli3VFeXN9kpB4f3i8n86Ucn+Rj5x2oKOBym6DnaCQc62LZXZ+MoqSkH6XroSWknCMkjnDp2hRUkBslKd2foeybciEqZVKnZB8lXiKlLiE" +
      "UkGWhfhSo3qEta2Zd6OBgaxKcrrGjp6JjHeBAKhAXYKHpYuOoap6m5mW/4RdfX9OpIuWiITSiKCHa3+QjoqUjZzGk6GbjXt1k3iLnZtvk4x0" +
      "j9RzjPl4hYpsaWSrvo6biZeOcaKOUn98nIzHh39+cpmSo3trnHqLUf+MjI99WcuJq8V7bpSxmLGSc2l1cWyd/4Kvfsx3W5SJg3m2g42Xk7WN" +
      "dq9kprBfgoajfn+Ms4msjKOiuaKdYneJm4Cdff+ycY2urId4nXqYd46OmrWUyLduhIyAq4WNyG25gaWIcIpts47FdZ1SmJKQdHd0gauCiIVZ" +
      "hLajd5WEUqiseo+IfU2Qh5mOc6PTnY+Cgvc7f7qEqX6Go4l4n4V6mWmZXL6PyJGLj4dyYoWYj3pwnpKcuq+ii5aRjF6PtYR35Mt5ZVRlkrVn" +
      "cnaCnZqufn+vRll2lpJ3hZ2d6bGqnH9+sH6jukyW5Xpfd2aDp4PSi+2YjQ50joqagoVviGGge6+iloxmfniMpIqLmp1zaUCGonKofZCRnmab" +
      "k2l4fHqcrYmSgFSpnbMrkXmFXpGxjG9vUJGIjmNifoyLjIqyhjp2cZiqpYqIkdqIY4u0kn2EmYmKkKkesFp9ZniyY6ukL2m4mqG1kKOSiV6W" +
      "jnLKm5UbfZBxlJWTksF4h5R6pISbca90ic6RYsWQhJxvkZOLfn9uioWF5P9YPqVySJFid3E7i7V4nIKSmnt/nXZlj8d2qauKkpGPN5mOjC+P" +
      "jFKRg+WdkW59sKZ0qXavkpSUlZWyg4R0Y3WhjnpHr6aDdIZ3hbK5hXqPaYy4lIXDeX5blIiWfKKKuraHnsCXeZp/52Vtq3vBeoyKmX6Ol6R6" +
      "nJK0in+lt0Z0W5SLCKdsiAJdcoysh4mbeP+WegCNe7Ssf3sA/5B6naiee5WAg4ZheU3BkKKCgY+EZIONap2FeLGxmYZpnHWb5Hh2scT/OgCq" +
      "i5IwzHuPoVyNkLCGkRSFvaahj9mZ45KFmn+TpIlkYX1xvm+OjYazsY7EcY6CrH6Y3p+Gg2yjXo++nZ6flamHp1hn2YqkmXhoxZ2tklWIeZCV" +
      "iIYAh36mt4Wusn3nxoCdmYSpla9Vm5hvmMRqoWZ4v3Smblq4mlyMvoaPjpCUgZ+TfVWOf4irxZr7SnK+Zn17g52Nok54gXuFt8hzZHy1bLNy" +
      "s4aBjWuLZ6p9ok2iqIm5jrSXeK2Zo26DN3XMhXPAjYM/iHV8jomjZjypY4F8VoyMdYKOb7ONipV9p9h5fH6JkaGWV4B4kJZqsnNzlIdti4Oo" +
      "hI0AhrV6h6Wfbj9oorCHkIp6pY6XmmuAjJycT7K/kVSlkKKHb351U4eLhm9icZqMmIV5fHiWkjOefIeoUn1gj5zFtYhIbXqUr1+Tlm5XarCz" +
      "rYl21KlwcMeJo/+lko+Pgnp7j5q8m4xudVOLk4hzhWuWgZ2P145xpnx8i36L51hfnoV9gn93mZKglHywIfGjoGppkoWXhYq6mbIWYLKGuqNp" +
      "vYCZnGyqh3qqhMG7dJtymapyeOKKtmRypKiPrX9diYaVmaFskpivmJ6BkZFgfrKImZl7iXtbeH6ok4V1hp6tNzt/fGWvi0awgn+Dx1yIo4Z9" +
      "gI+SlYCGkYSXYpNbx51mjIqNr471h7xnmpqkbYGicbBkhcKrsKmMpXecoYpqiIDWr8BzcZmIlFu8kIGGbqWHi51rboRkfZ+SdIUqj4tnba2H" +
      "sbGYlHKTx664hH+L9HN9eJGiflVyi25ymreJh3aR3oeMm5yFgOCGjnKLpnZ6iGqbe2WIV163aL6Ae5V/p4u5b6OQj7JHjJCZl4OYmX2nq5Ff" +
      "lI1trYp89JRvj7KFlIaLroSPVI+QjXOEdm6AjYGYiYuNdYWGgYipc3+Qn42bd3tudaeoe1SNcmqjmHuJVY11a799loeDjHqMxLSdroaxt4eE" +
      "hol+rbWMZJ+NkJFZi5bZdHaYeIamtJimlqKYhJSYoZR2nFVSjP+QjIp8Zbink5qSdoqObYFpgHBugHWIfYmWk32Mf5XBgXaAn4SSo3SSioZ6" +
      "nomVdbuOhq6jX6V3e5RZZbubjkN9gpKfiYKHkYaDjHh8mIZyfWxHkJCTeXFsvFt6fLaGUbB/XtaIdoQ4frN3cICnBoWSimePdo4yj5qVeqd/" +
      "lJtZjqCYpWmeinNetnaXjoRZo5BWc1Wmh4q0goOU9L+KjI+tn2eHloGQpIiDd4qhhKmIioCnf6mbfc5+kRWMnA+7wYSYtGF8ZIvWAFJvjY6O" +
      "mYaGlomTj6WMjYWeVTr/j5yHQmCSfZJUeIaNf7aVm4mYgIOQeYLHZqfslamdobGWlZWZpNjqul2zin+PjXqNl5lXaXF+gI2Qk4GDgHBoaoRK" +
      "anaLd2qeua25pqCGjWZ6S4l1ijiKo6yrj4yZfpCXh4t4h4uskoh3dW+QrpeBfpd+eKeCq1h5kLOjgIy7srC4u11pmaDtfIOGibF8opSWYaaL" +
      "ULx3nIuEeLSEd4eMr7eQnYnMdISWy3tXSXt/YZuMPDaPkayof4ZsoJdb4lFKn5WLibx2ho2AxHzGTp+SpZ4Ae4N9W3qPfnmHlpSngKKwZIrL" +
      "cUJoqrGwhnqWrJazeIKCdn2nf65xvX1ag4B4VoyVjWlsdsCNjpiVvoWngqaAcZl3hnrNmbyehXOYl5bcaJGcdWOQcXmXmaqEZ4qPkMm3tEN/" +
      "gpyYoHg2pJOrjX+Td3UyXofceoCFtY/th5OWN1acfYNte4F1XK+Lmm5kgYh1goGVYH6OYr11lYSGc5KkkaSyrYx3cKqQfaN7k2eIbJaGfomI" +
      "hM6VTJPAwoiNrJh7koK+kKlkhHmLhpqYmYaMjXmHcY2WkICNq9aGcKtgcp+XfnGPfJSEtYqdfcd2VqKvl5Wpf5KaOJm8hJCiUHxdIWij3ohk" +
      "mnm2lIixejFprIuqS3R3l5vfwaWooWOmkNqxlnyCloSJfqmNl5uGkay3/4vFnZMriGqKrsOkrnhngJuWw3SwpXXchkvAc6lslZKcw4mMI6av" +
      "kqODnGKEhLqmoIt5gKWpi4mkdGNx9np4Z/+RX4u0o3Vx62CNhWt2jbKhj4iFfmpukp2BmX2eW6eMiGxwMvWSipl2vLeGabqCoYtkp4WFUZaI" +
      "XXCJm3xkjlOSf4yBm4+Yh4NcpqB0iJmGlf+Bi3B/kISjhZWtXLZqcqCXoFWnhoOKopmfnKqKdHOhvsfRiglJoH2ANX2JlpaKmYqEno6KZnqW" +
      "o6yViaV6l25QkFx7jJmllXGDQIiSkmiQv3WqraCxSqVppeCGmZyjgYuRiYeM2KdFiq2Ab5WjgmtmcHixeJ2AiT1dbpScm8Rcc5WMkKaejoCR" +
      "lMF9dKT/izOchTGflY2LbIiYmElTYb2NZ09bi8B3bIyQi4xpf3yqc4FwpZ11iHCthodEqGxkdpe0eLp+64dsf92YqIiv0WOEhlvFo41+gaXc" +
      "yFKNxP+Gj41yla19h4fchKWffHKIidd9d7Z3mFeJZHGB0bJxHJJuf5lz6D1qjYaPhIuveI2odrJevY9moHZ9c5G7bXOglZx4jbWQlnJulBR2" +
      "bbiSn5FJcrmC7ouHo6KNkEF8ijx6cLNuYYNjtYCmbo6GqnaTW5yLnYq0/4J3dbSL8CbIXqGcjYt/x52LjLCVhnSiV4eeiHBnkIO9i6uNhnd6" +
      "p2iImqyLgpONd4yeq2uZjZiempOSg4x5h46NmHSKkaOKjXSRm4lwdY6ak8OSqItz/22BiGSYn8uLg/+EvpiOh76HgpVyo7nKj6qaW9dmx7xw" +
      "w8ZzdGSjY5ackZOMSY+NnpRynY8+jYWqFm9AdYpspoBiY2B4crR3Z7iKeI1zpquKjn9P4qWDjoqJh2ZopHyQpsWWhp2WsLmGkniOdLqOrIhu" +
      "jXCOnGmOlXqTt5WUOomapXxVtmyBVLSLjYd0TY9kmo+seqp3lI+KlYyhnpGb/4WDlIRLkY+JzISAgmJ8O6+ViYOZqo6aap5ke1bGbI6omj0t" +
      "e3iLsY6IhoexjX2Qh3qKh4+ek2l4gmWGlKWRf3S4hbazul4tKryS0oeWYIajgY5kl72Gh2GwjYicqxqAna91v72Ge36Ma55lwqKbmoqHvYNf" +
      "q2Z3kZ9xnZOa/zyedquEmYmJhpSJf4kxlnOuK7t+soCdj5ODgo2loaV+rUmpioiEnv8AgrebjI2EjpTkdqXMiX2MtXSxyGSTn3Gglr+JcISC" +
      "qGZ9fbB/cm8vgXudmpFzfppuvcmMc4CRbFzGiJmUhYt/iZOIc5bnj5yciCqpcn+AhKBlkZigUKWJlqqhh4R0g0iGrW2PlaWXf4SNopKAhFuH" +
      "U5GEvpWkao6Id1CNp2iodYd9j3iAhrhZf515l7OXdZaHqJGRX5airmh2VYOLiMmlil9ZopJxkq1/lgCMWZF8kIFhq7+KXZSJgo2EnYSrmZOX" +
      "nHuqZXhRiGKn14KEgGt9gmFCecWFlH5IiJJnZ7SAeWmFkH9vxZeDf1+WrpWHwpyXgoCsiY+UfJFZnGpzmJGqWKqfgJhTupKeeIJQoOOQfnOU" +
      "mn3EUXAkmJBjlYqQlYWeipuPqpRznoaYf6JKkIx3kJ17V4uWfqO+w4uAaHmdjQ=="
  },
  cl100k: {
    features: [
      0.31, 0.046, 1.477, 0.636, 0.213, 1.15, 1.171, 1.2, 0.468, 0.849, 1.03, 0.72, 1.027, 1.171, 1.662, 1.267, 0.821,
      0.997, 1.165, 1.309, 0.738, 1.997
    ],
    pairs:
      "iJGrj3iqorB3b255jKmKi6yM4IOSh7uFeYXA0I+Jpo+MdeOnk6qMcZ56hLyaYJiCrHWkmJNrdZuEoGhveY6Cb19LjX6zxXKMn1BjvIeBrGFy" +
      "dKCjb6J3rrmQVXCLcaCRgEqPhpN1o26NcbxvoZiYnYS/iKOotY5uv9hmhLplkFJhb56uo4x33mN4iHJ5jI2ae36Eend6r2NtUZGedIBnkG+n" +
      "d52JjoiSfoCAmaW8hYrFb4Z/pGZvaXaEiW1sfIpDkINfmXyHpYaEeI2gqYWCjquciZ6Xh5h9boOOn5uho5GbnV2+fYuYlJJPtJt2eIuxxGu1" +
      "kW+Whnxttn7hdcxm1JpyhIGHbF9Ypmt4xoB+c8R6jKfIgJOddXSUpWV5pEyJkrGnlmKRY2B8iYlry6KjfZWJe4K5m2mffJF+an9qqJmBg3t+" +
      "e8qVkHy6cIZwhm9+eXaQxbKNoqJ2Y5Z4gI6EsaHAfI2ShaGOqnTYipWElpOLd7SuoniQpnKLiG6AoWmKbXipio2kcoGjgKGQlomiXZFsfM6Q" +
      "n7mGfa2SjZupeaSNY5udepCWjIeHiSZ/tXqYfYeVa3pwkXaFhYqLn56Tg4/MnU6TZHNNjaNfmImltG+ZeZGijYyZkYt5hJWacZSoiXWDoaB0" +
      "mnucflq+aZRymIdqoZGFi39WhZCqYZqagIyZkadiipuZj2R9dYCNe5lxjoGia7WKn2mvkJGAenxGfKOCaoenfp3bf8yAXpCDg3yYgJeauzu1" +
      "nnWalGBPcqGLdIBeUIZ1hYqWroSAs5qBj4qTipSPspZ8dXuRXpCPUJeVgYWLu6B0fViImX/XnIRdd3CBoJdui4m+Y5mLh4N2eIqMiH2Ud6h4" +
      "WTuVpL+SqZWBo62VeYOJf5h0caShnbZ5jJ17RsFbcaKAj5OOgaJ1n5GdvIV4lH1Ks5OWiG3XnIGKVZqsl4Z9XYO1mrKNi35jmLCOmJCNoZJo" +
      "n9Zif72agpORZ3apxH2Fn4STiICYeI27n4fSc3eEgpqLomSIk5F+iMyagXqEdbVqht+PdZaSnYlimWKBemVf/5iZgaeJT5mhhpypea50qN+N" +
      "cZNUnZ1neZGkgoV/i3yzbId+jJaNbWtwno+al/+qaoymjpB2oWhidJyAlZqKgc5xcqGBn5eNm0aMio18d3xNg4ynpWVgf46RaoR9hsFlgHRy" +
      "iKWhmJ2tc5zMd5Bla16fP7qblZuNnK6Lgchmi5FufllolYaHfoBznHiQlbqhqZeKkYZzUH15c3iCjoiMxn92mZ6bdnqKr1Sd+OFllW5jY6R1" +
      "ck2NrptmeXuYZl2UiJ6EkbaJ35ycoIF0jIGeuVGOt5qIgYaFdXy2cOR1fkGTdX2xb3dgmWC5d8udnoRzlGOicaqXm5mTZXWWg5WRhoKVjoix" +
      "doSEiZWflYCBgG6dm51uaXxilHm+lWiRU6VelKxle3CIiYRxf4qcbJWEnHduj8+Qh46oh4J9m2ygdLs8lmyFrZGXjbK2hHfAkcSvfYCTgo+f" +
      "cY2fnJVsb4V2kIygY5iblI+YiYlziY52iZ+RWbKUiYt/k3WFqX5repOfprFcL6txh52To286bKGRhICgoGyXrpt7jKxMg9h/n5OPLpfajn6J" +
      "i215luCsjmqc0rSimG+dkoaFm6eldX6MbnSqX4qKzXx/madxhqOdjZ9xVmSvknrWbnpfiHaPtJx8mHN1oq2JkFt++ppiumu4jXiTd4B9f5+D" +
      "oZKYj4CerVuPkYeceqOChUaQbH6UjIKAeP+ygBB6foOEkncA/H1bmJ2gXquRb3ylj4eacYCLdKmKTXajj4p+jYiKpW93kIKivIWRlsf/cXic" +
      "io1ctWaUvj2clbuRlHmvo63MpuetnIaRoIN/2pBYeoOLv5SGn450t3PFUX10tYSf0LGdnLKWTJJkq5Ohk56Gfml6xnyheHha0pCMhoeJgou2" +
      "frU0d4ftlJiWZIm3rYaXimizmopumpaCqZp9YWGIsX+mc2i3oF+HoZ19tZCYh7OqepKph32ZmpHOeGjecIdaWoZwg3V/hpJ5xtOCg2mpg6pv" +
      "k6qkoWSrbJyNuoKWkn6dfKyPipp1iVuAk2vWY26tjXNFh4OFjYqFiHedmpaCkVd7jpGKXJ6UkFp8lcFUdHeuUaV2P3eTlqmCgmOPmYtceYWK" +
      "h5FpoYGYb8OXgk2Jl4+DjJJfjWmgl4ilq6OAibava6CEkNGAfnt7Y4JvcIZub4GGdYOAb1ibhl6qcnmLWmuMlICjzIKSbXuYn4iglahtmKCq" +
      "t3mVtWOdfMBpx+R+jJaQgW10Zpuzen55pGBseoy8gVh3mqTTxZF5pouTTGmV9GR/mYalkoCWqpaieY+vW7+9lI9ojo9vgIqsaZlNiaCGoaqL" +
      "jXukmzN0f3uag6ZtapyElod4jLhmioKKlJy3vpc0h6immnlThY6JjpiLsZVSdbuEz4OAfZyvYoKSbpSbnoijTImCZnmUenaRgoCCqmSZr3+L" +
      "kHaHcXeGuYCThH2pnrSDkYuhosaogLJ+kaSiXoODh5ldi7SXgrSLqWeProdbkXWrtbFndp6Dl5OpmX2RlIR8hJF+jo58XZ5wmmFEuoeAeZ6L" +
      "j6tpmv+LvLSNj3yZvYKGcIWNc4xssJF8oIyPvouIt517s310fqKdi5jDoZtAgXSJeW2ZUWqjjsOKfY1vwXiXeYeUg5taiZCde4WQgpCtkJR2" +
      "iaiHnnlkqXeXc7aHs32dppCNiorEdGCXmXqKlFR9d2iafIOJgpN/ipGHlnaAWImHf5yksW6MfGeIuIJ5Kpqbjal0kYCidGWhv6OwsHaPnX2F" +
      "eI9vecqghJh3cpp5f3y6hoCaoI+RiKJ0raWrdJFyZZ2ig5tCjIqZk5trcpexmNWhbZRplH1udXR1d4GOe6aZomSBeoKzlJh0poubqYKYj4l0" +
      "q42idqmHfoaPV6lvc3xeXqJ0n0dreYiid4SUdYSCh4tzpnaHoYGJj5mFdZlntIF9grV/Y4eCmtmdgnd6eZJ5c4ufGWB3lnCRZqpTe6Snja15" +
      "mY12hqOaoY2BmXVYkYiDkoxhqnV4oXmVi3OHm4Vsw8twgbjEr3KHj4OEqZmJgKq1a6JwiXi5b5+JhZaAh0SUhQ+WonGuno53fn3FLmt4hZN6" +
      "bo+KkINnidyYl5FjY3HhpH+bUYaTeoJygn6lf4SPjHuJhpNvdZK2U4LRkI2xcLWnn292x6vApVqSh6WReJKKko2Lhnu3dFNtiXeyY1SHdF04" +
      "aHiHe3+6hoOto6uKiolSSoWhmSOljoKbfYi1iquWj39WoZ23j3JwklqSwYeVmp10epCIwn15h6GefHyIz4zLqpx2ma3TeXppnLyGoqKcm6V3" +
      "OaeCpH18TLCOeY2SW7CUeJK5aJaTwnRzgWiiapyLRVCkjqDJqpR0a3hxf4lYk5F2iIVthY2JtYGuh16djo87eZd1UmqZjaNednx9hpOnWpCh" +
      "gVRdpbqtjMPDYG64gJaJcXuzm4OPon56l554VqJyj2WGiLxZXpiOmLCzcoSCiGRreZd9qc2TfWt2mYzXinmcg1GGaXt1nYeUcqR5pZ/EtkuC" +
      "mZOeuHtcxIqZk3afdXdPeYfcjqaYj37Kjo+VUmaWh4pecYpPT3SIiH1eh4iNZHK0gmWHar6ilJCVnpTKl5SrgoKwmqSGh7umuniEjIVlj4KU" +
      "hIeSfJCelJOYtYd8epCzeYlvmlaKcZGfv4Geqn+MhJ18npmchNp8d7pkjIyMcWeEjoxLunOAb+Jsd3+pgp7AhoGeT6frepl6U39vfZGVr31x" +
      "l4N8kYyPeGBcy5GkaJuBiZi3jKafm2Woc9CyhJaHe7GqgIZpnp2Vg6C37q6Tko8zlGBiqrl/qa5vinh2tpmmhXywhz6gmqKEmpF6wHN9WZqD" +
      "l6tfxY9shM6uu2RWd5f0gY21d19t8nSAf/+GV3qiiI5xslx/iZBimm+OkJCXQV2VmJt9kZezbsV/oZt3fZmEo4Fcga1/gM2WkHJMe4WBRc+J" +
      "jWpzhHdXpV2nmJGJm2hvonh5hZGDmaWEm5Guj1iGoIqTjaaai7eue6COj4BliYNtqaSOoIyGgoaczsqGdY1kl36Ok2GAoJV0nXeVp4Rvd3Wc" +
      "lp6MipaNq31vrCGJmbOsj4iWTnmMmonPuHvAxKSea7Z8mZttuYiYe5l7fYegzJNtYrF7fmCVn21egXyTfoWFfpN2h52Te61ybHCNfp2blHSC" +
      "otSRgKf/jIWTklaWlm+MbH+iiFRvlp+Qlxt3WqN6gXOGs5ahU2WifGRcpZubsWakanlitmhkpI/Aha19x5RflK+Zo4J/s3R0UHLHrIVnbKuP" +
      "vD2JvvCEnXadlqGakZa/ZK19e32KgJR7bqaYnnKNV16nu5FyZpmEq5FG22FkjmV4j5Gfc5i9cr9stXeDp2x4kZy2gJV/lpKKgpSghomDkl9v" +
      "j8TXo4hsiKqD14GVjIx3kaKHkIN7tMlQaXh9l3WfdH1ymXGTg39Lp4mN6X6Kb5R+sVv1aqt6gZB6zqmBiauYgU+mhIaQg3mShXqchHmPWmGF" +
      "qaCVh7aSypydnoSfpJqOiJemibBph4yMk8OMi4+lboCWeH1wqoZwbqSYkL6ProB271KRjlaLoqaEhf9vn5qRerR+hnZxmNqxlImrRvCOnKye" +
      "yrZseW+hUpqugpKEb2OTl3hufKpQf4mlknNmoYZXtXeCcW2OZZ94hIaDjIeTv6eunZdwzpJ9hZaAjGl9gJeHtKiLbZqDlqOSqYJYk8WToI13" +
      "kYSOh5aWjnyP1IOOcoF5r324qodynpaVmpVdTINxl42lnopzgoiKenrCo5OMmIuMkXyEmp54m219iV2fP7GJjYuKvrFZgKJgj2mUan9/kluC" +
      "oYeAf5mHgH6Yh36IkIuTf5eifXGva4KAjJuLkX3eZ6SWfHEYacV8x4SKiJp2aItuhLyblXtzcN1cmm1sqKeO0nR5jKOBd6hiuIWKkouDo4Nk" +
      "kEp2hp5btX2p/32qdap+roR5d5x1jXaSgIuWR5N6nmSjgJ5reH2UsJ+ZyTS3gnp7iNsAgomSk6GKi6G9mXTTfXVxmGyhp4aeuZWpiKBqb4tl" +
      "poOOgrybYE1oYZORgpCUhJqAr6WSwYaDfmKei4SEi297g5yEenXbh1ing1CkU32LdWmgi4dfbriPn5apk1uFcRJ+rHx7iZ98p0dxyIaEkX5+" +
      "m46GnpCgXpaVdIR6n3yYcJiLkHqWjr5mcm56rnOabZKbnprJSYilnYB/dXumna58cnhgppmCq7mMxQSMTJGGdYFKrK2XYHuChYt+tIiymoaY" +
      "pJqnW3sik1yqpo2LYm2EtZCOhpKIgXpRg492o7d/j26NjIxl1pmGm2ePk4WGrqOGh36ZgImjTJGNdnuAjJN7h8eMfI9K15mNfYx9kbBYUH2A" +
      "qXegbJtrtoc9gnumk3uTh5eSuHRzcIqQZJtxjY1unoy5fYmFm0egsI+rY419gA=="
  },
  claude: {
    features: [
      0.336, 0.112, 1.173, 0.886, 0.217, 0.665, 1.305, 2.145, 0.5, 1.009, 0.814, 0.91, 1.199, 1.717, 2.164, 2.137, 0.91,
      0.919, 1.237, 1.625, 1.032, 2.142
    ],
    pairs:
      "WXSTk4F/pKl1inuEyoKNk5KBsoCln6WSZIai65N4pXCyg7ueeoVjj5eOi9WDjZp5qlyqoIlycYmHtGNMgX60dK83pIgAno+dzWZ0r4lwunNq" +
      "naWHa5M7is2UPXODZqCXgi6Kg4+GnGGEhJx4iaC1iIbMf3SzoIOemtQImqVmkl9zgZ2pyKKyyXhUhoukh5SGVZh8gYhqo3RLOZjIqnB9kmiF" +
      "cXiVgYx7iIZzk52vin6rc2pTmXBxVI5hgpJuo6RGm4eEondqfq6Kfo22epyTlHalhoaPn66XbYPXlqSijpq0o3PPsIihoL1fe4Z5fYyDzWS/" +
      "g4KbeGVzymPagLeMqmUWhit7YqdtaZV3spCSgNB4oGq7ccSOkmSgp2B2kWmHlah1wEyEGV2SiZ971a+Dg4twipnljZd3hLZiekpAlJByX4OA" +
      "Z6aWkErLcZJbh0uccXiSr5J2l6GHsoCCtpd9c4GjZYKDi6eSm2iDlITPhpd0gZ2JeHz/uHaDdh2VpXikmY6nf4J+hIOld5CPajZboo9+jsaG" +
      "n6GgZ6OoV5ued7p5Y5GFh3ymk2zFi3F+nJaHfYF7cGxxdol2iJqMiqajfIeilWeQXYxTi4t4cY+s0LRge4ekVY6Sa4yeiWmibXSMl5iNv5V3" +
      "k56YlFmcbYwPz5pzqIl5l4FXp4emYImXAoymxq+QSpKbhHZygZ2WhZFmh4qKh5uKmF7PkrR+inRXeqWOdXG0dXzFiLiRVXx7iYeTdn6Pk2DK" +
      "joy8mXknfJyOgHRleGh4mNWlnqp6wY2XeW2OmlaBt81/dJKRcaB7VPSPfXWHnKuJin59oQDDnpOjtXN2mXlriIG9a4qTZZewpIuGnHiflZZp" +
      "Xzedr7qFuq6AAJmreKSNgpl5iKVyrZN0jpaeAJhxdoyTpZyMeIaKrJCR0KCSmI9op0eyhXa+jYK/UIqppYt8dZySkr13doh1lziIr5B5nrZy" +
      "4tmHdLOVf9WmcE6vyIOZlJG3yIOS/5mxl5HBdXWCd56Cw2qGba6MQt6chIF8dbd+hcCYXY16hZSL2omEgWK5yLCSobCUZ5udiaCwWJ6ArOmP" +
      "dZxrhKR7hn2YypRynIOV5KWWY3+Ma1eymYWVEf+XT4p2eI+g7lVkfZN8l5G1i9eEdXKHhp+HkpS3nn1yjn5RXX6wj3iAuYyYu32GfcN4m3ZF" +
      "mK16iZ6TjLi/hnhnbISY9KOM0pd7kVmYgZ5kmI1GhGpx1XKfi414vJKkcrWUnJiNoKqCaIyBb4KFa5uDqIpvpo2OZ22Ll4WP+tx0g4COf4+J" +
      "c3R6iGaacIycOnWKf4yFgaV+nJaUrZaDpIOxtWCUp22jkn+H/4/gf6KLXyehkIekdWF5h36mgbCPlZePXI+rgrpziJ6DbwCmhHGEhJOak6CU" +
      "iZNwlqf/eIp9gACQiH58eGhzbMOjkVGQt5Npn4YATZhxipSWgZeNfGygmI+BjLOheYCFlH2Go162haYAmZSEqZeSi6O9QpTLjJqWj3yUiZGh" +
      "dWyslYVSYYVxmZSxgoKttYuzpHWGe6qFnYmUbq+zrpGAiG62fYNnfrqQtMluFo9zOZqTl4BGfrWOtpmfom2tt4NygKaRiZaJoYfZU5Xiom26" +
      "fX5whrapf2ibrKmMgGyteFCaqJGjiYJse3RcjoQMg7CGsJZgjrSkkZZDbWyXf3/bXnN0h3u2o49xn0GGk4SAYmCJz9hqqoK8cpCNbpVYkp2A" +
      "jIekfZqZ+/aKoZCsWKiZgxmYa5yihGmGl/+ajRZue5hohpf/53WIjXzAW6LZXmNiT3WPc5Rrdr18doSmVruBgJqDxni5roKCs5WRea//kF+r" +
      "g31UqHFysGGNfq6JjVfWo7LTqa6a4YqJn4SPw49xeVWcqI16gn990omyRXKkpJOQvbuHlZi6epa8m9GTipuFmnCFuV+qf5d10YlrhGeCWY55" +
      "ks4YhN3SiF2EUWzAwHl8i7ahcqiFoY2Asp2OmlqNra+mso20q0yBmpl8yoidkaqhZairrXpuj4/vc3fieJKcbphYonhshnt21c5kgH6jcHaA" +
      "ibiLd3KuW8t+tE+YhXGGgeSKjKl0iXWAqYqygHqSinfWloKSi36odBbGjpaAi0KGiZmRcJ6enFF9bqyXeI2JXH98BXWakaptq3CdiGFyeJZ2" +
      "iJgAik9rfayGtizEx5CraXh9knezkYCjqKhwcKJxfX1+ls2Kdm1/d2agfndtbnd8bIJqbWWQfgCWemzGc3Z9e2S1rYLdfHyakp+QhouAbrCy" +
      "qnOuvM2Ee7dwxuRqhI2RjG5yeY6giYeDIFNfcJ2ugZSFYabwz4aMyWOOd42Tm4t5knqenoC1u5iaiJeJALrLkIJOko57bnvKf6y6V5t0pI5t" +
      "qYl8hmeUfWqRgKN/cLOCjCqTwKCKeYSBhKitm5P/ZpJ9tXyBhoWOWJmMqYlgWJCEqoqCjophgJKcc3Oqk5G0yH5of5mdWXychn94tF2wpoaf" +
      "jpOAfGN7gICPdnyTgb9wjW+PkL+xaJ1itIFWaIDIpLOAh8B1fKqMZnOUnpWAEomp1LRsZZSZp5OZc4eHhK9/qKh0jX+lVp12oWUuk4eGhKyJ" +
      "fX1li+V8o7ieqoWC0Yd5d46ed6FuwH60lpF+pJKisZZ9Qn1+ia1/bJy+sZNgnHOQdIDSZ0Lir8BzVZl1mpuva4eTi3FYnImYoIOPmGinnolq" +
      "b6GLiHWtvGesgLCUoY+Bvptzf5+me2ae6VqWu2WDUGGQVGexg52YcWisj3mUVIiai52hZZWNaGKMvKFpW561iLNmc4GJfWaSuaCWlaKlrIeL" +
      "gIeWgKefn4iIgaoAe3aofY6Ck52foY1dtKSgTYGIe5d4mrA8ftGZn61hiYbCmcGtgpejQoeAhaN4cYJ5erCRdJloYKnS0pVoopajuZCNloCX" +
      "oYaldrWXdXh0+ptiY3qSXXp2xVKXhoOdkYNtdX+GlG2EoHh9epQAoJWCfotttHOCeYeMbZKDlMmBcoR4c4l0kZ2gAHdnhoGMWb1ed6eIl5dt" +
      "eJdEfaCLin+Ok2tYXnyRmP9yuIJwZleWfG+8wHuGxLmMayO1r3qHfWNJ0qObqaiaS6l2h5KxeYiNj2uMq0mXYgFyhIStdzR7Z3O+MXaEaoWf" +
      "bJmSbpOLpIKUoZhmVUvsppmZVHmyc3OSaICSf4qezJChj5p9jXxigqmuhm6fead1nWyZs5mrjYmosqGIno94fpCni5ern3ZseY63cmB+h19A" +
      "fHeEim6lgpTPxJSClnZaaYionROof46flI3HlaqQnbhkn3eul4t9erF72XmRam92b4V9uI59hn2Ph5p+n4ipvndysqbReW90n8CNoIHIon2E" +
      "OLNvl4eGXaOlgYyKwJaOe7WGanqCvoRmdlKpb6SsV0KMe5zOko4/VpeKnZmWpJZ3iH5sfIiSsnCpd5ONjYcXdbtmgnaRopdodKmaiZTChKG9" +
      "jlSCbPSeg57Pf4+9W3Sbd22gh49/iYtoerF3Rax9iIqlhsB5kpKuqraacqlogV5/epZ+r7p+cjiZlIfChneTV1exXXNikYSCh6CIiJupnYuk" +
      "qKGef6lbzYyag6GOfYRBSW7HXaexgIjKloySUJ53kZRnWItWU3hoopBThYGDaVWlaW55e9jGt4pro6iZnqGWuIqXkpaaiK2msnSUiHGMo32G" +
      "kYCZdZ+wkmyX7aGlhYy9ZaJ7sW6rdZiZsW+ok32JnJZ9uZKqo8VyhrhsgViIqpaQjI13z2uZistuqW1xasCLj4x9NrXcdnSIQ3JLY5qBcHyA" +
      "o3yni5J7jB1rw4iMr4eKg5FQm5ONlTywfm+klsCMeJ2JioF0hp2RkHuN8rl/fINOkGVLqa9lo6iQbIeEn5+mdo+ugWOehquCnIOLtGmCQ5yD" +
      "m7Vux31ggbmtpGlFcprgdLGPlYt82nh9Sf+FUYiXjk10skOIm4B7mIiElKWLdm96ZpRVpbaua7twjC5gib12bXVnjY2CjLR4k35Jho55TrSS" +
      "cG9+pqB2nIOMd42Oe4CPoXZ4iY+bqrOXk/+QkWJ4oYyAn56eW7bBgJiRe495jHyBl510m4txU4CDuMiGgic/pX+AlGuLmYyrqHWXnop5c34A" +
      "e6uZj5eqrWlMkE+HncfFekvNAFOSp3ezh4G+s6W9bNNniI9ro26ihYWbjZGJ2ZumlMRolmSRk5Khi3eRXIOBh2+hAJuEmLdqfZXsd46vk3aO" +
      "i62Fe6nqkHuDjWahdX5vdWmRj36NioKlikFvb450dHSJyaCLgHmil2FYmo6em4ysxYVZkml0rpGfmYmV2mdvqcG8jHyApYyPfmuqtJl5eqCo" +
      "lFCFxfGGqYp8joyIacuTZ5t9gZxVmaWVY5dvsJGTWW60pqd5QZalubpm5GxdoWSPiZf0go6DeZFHfJB+kHhjgZ6vY6GCnJuEiJyZkYyGkQB2" +
      "l7yOlqZmEbuDq3WOsmmcmnuEi1p/j7JsXn8+r3CshJZrpXu3dbFnqoSa7I/IrqaiwEavdbN6i3uexYJ+kJiXg4OYeYCBeICjYXGVk3KMdloa" +
      "nMuThIVxnYqWioWroVOQfZWNloJ0n4uWiaiLi3edlIx6jG+aopNybJeImqCKrHhlvkWVjmCTmNNygf+FmqufbtGMiIVglLbdr4fLVc+VkLKg" +
      "t7JfdXXAYpW/eZqIK6h7lpWFiK0Bca6YHYBxsmNVol1/YW2ZeJqeZ3/BfnuUraZdmp+H/3aLkYKWj2Rzeq1sn6KDg45+pYyh/5ZYqKp2fIeK" +
      "jneZooaVhqiguHSTAKl8rInEnbZ1gpWjrKJTkX1kmY2SjKOZdH+Qj3CxjneK/4uNgI6ym6OZiWCQi34vxK6AjndozKiGk51niEixeYOEk/hi" +
      "bblqkI6PjXuXiX5zenWCbo6ThX2DgZx/f5icooDXe5+ZeWONVq6wuXx6jIR6j5E0c859mX+IZlPIS4xyqaWLn3aBgZqJf4t0youhvo9drIFg" +
      "b1Z7Ya1ys4Sz542habaEmXhocJt7jGSIon6YrpVlr2mafqZgjmeqt4d63xiQkYumof8IiJKSdIVvepyJm4DMkHN8d2qY35OFxImPh5V9fa6j" +
      "rnKIi7mueDF2h2pkfouhiqeTnaqIqHyBrXOfgYp9lYqah5eAa4b0hHeagkNucHegt22Ua3toc4h095mSlHx/hhKQuVtYm4t3iG6WuICTcWKG" +
      "YH+Uo4Ord5OQbWmWaXOMdXxmjJq7n7XDbW9yn5WscKK6nJjDTJSPunCIE26DRp+ikXlso4hyorfJrwB4E3eDcGVUvZ+Wdo2PvoVhkHixrHeX" +
      "v7ymW6JrmEeZg3mJg3KfooyeaYOOe2tZiH82hJ6AqXiCjIa+upiSbGKMinOLm4+EhHyCXIKZSo5Ko4t/h4mPbrWXdZg9yn2Lb33Hc6mHeWKR" +
      "qlKkmoEArn6vd5GXkmVvh4mGqYJYfYKctaWEhYSClraTl4Z+i5pxp6moaX2qkw=="
  }
} as const
