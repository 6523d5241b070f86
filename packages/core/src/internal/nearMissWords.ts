/**
 * The words the guard against near misses knows: English, with room for more.
 */

const list = (text: string): ReadonlyArray<string> => text.trim().split(/\s+/)

/** Words that turn a question round. */
export const negations = new Set(
  list(
    "not no never none neither nor without cannot except excluding unless hardly isnt arent dont doesnt didnt wont cant couldnt shouldnt wouldnt wasnt werent hasnt havent"
  )
)

/** Numbers as words. */
export const numberWords = new Map(
  list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
  )
    .map((word, value): readonly [string, string] => [word, String(value)])
    .concat(
      list(
        "thirty:30 forty:40 fifty:50 sixty:60 seventy:70 eighty:80 ninety:90 hundred:100 thousand:1000 million:1e6 billion:1e9 dozen:12 half:0.5 twice:2 double:x2 triple:x3 first:#1 second:#2 third:#3 fourth:#4 fifth:#5 1st:#1 2nd:#2 3rd:#3 4th:#4 5th:#5"
      ).map((pair) => pair.split(":") as unknown as readonly [string, string])
    )
)

/** Units, by what they are taken for. */
export const units = new Map(
  list(`$:usd usd:usd dollar:usd €:eur eur:eur euro:eur £:gbp gbp:gbp pound:pound yen:jpy jpy:jpy rupee:inr inr:inr
    %:percent percent:percent km:km kilometer:km kilometre:km mile:mile m:m meter:m metre:m cm:cm centimeter:cm
    mm:mm millimeter:mm inch:inch foot:ft feet:ft ft:ft yard:yard kg:kg kilogram:kg kilo:kg g:g gram:g mg:mg
    milligram:mg lb:pound ounce:oz oz:oz ton:ton tonne:ton liter:l litre:l l:l ml:ml milliliter:ml gallon:gallon
    cup:cup tablespoon:tbsp tbsp:tbsp teaspoon:tsp tsp:tsp celsius:celsius fahrenheit:fahrenheit kelvin:kelvin
    second:s sec:s minute:min min:min hour:h hr:h day:d daily:d week:w weekly:w month:mo monthly:mo quarter:q
    quarterly:q year:y yearly:y annual:y annually:y decade:decade century:century kb:kb mb:mb gb:gb tb:tb
    kilobyte:kb megabyte:mb gigabyte:gb terabyte:tb watt:w_ kw:kw kilowatt:kw volt:volt amp:amp calorie:cal
    kcal:cal joule:joule monday:mon tuesday:tue wednesday:wed thursday:thu friday:fri saturday:sat sunday:sun
    january:jan february:feb march:mar april:apr june:jun july:jul august:aug september:sep october:oct
    november:nov december:dec morning:morning afternoon:afternoon evening:evening night:night today:today
    tomorrow:tomorrow yesterday:yesterday am:am pm:pm spring:spring summer:summer autumn:autumn winter:winter`).map(
    (pair) => pair.split(":") as unknown as readonly [string, string]
  )
)

/** Groups of words of which none can stand for another. */
const opposed = `enable/disable activate/deactivate on/off open/close/shut start/stop/pause/resume begin/end add/remove/delete create/delete
  increase/decrease/reduce raise/lower grow/shrink maximum/minimum max/min most/least more/less/fewer high/low highest/lowest
  best/worst better/worse good/bad big/small large/small long/short longer/shorter fast/slow faster/slower old/new oldest/newest
  first/last before/after early/late earlier/later left/right up/down above/below over/under in/out inside/outside upload/download
  import/export push/pull send/receive buy/sell lend/borrow give/take win/lose love/hate like/dislike accept/reject/decline approve/reject/deny
  allow/deny/block/forbid permit/forbid lock/unlock encrypt/decrypt encode/decode compress/decompress install/uninstall
  subscribe/unsubscribe follow/unfollow log-in/log-out login/logout connect/disconnect attach/detach mount/unmount join/leave
  enter/exit arrive/depart arrival/departure import/export input/output read/write public/private legal/illegal safe/dangerous safe/unsafe
  valid/invalid true/false positive/negative active/inactive possible/impossible visible/hidden show/hide expand/collapse
  ascending/descending asc/desc horizontal/vertical north/south/east/west northern/southern/eastern/western male/female man/woman
  men/women boy/girl mother/father husband/wife son/daughter brother/sister king/queen cat/dog child/adult parent/child
  teacher/student buyer/seller employer/employee doctor/patient sender/receiver client/server front/back frontend/backend top/bottom
  day/night hot/cold warm/cool wet/dry hard/soft heavy/light dark/light loud/quiet rich/poor cheap/expensive easy/difficult
  simple/complex full/empty strong/weak thick/thin wide/narrow deep/shallow advantage/disadvantage pro/con benefit/drawback
  benefit/risk cause/effect cause/cure cause/prevent cause/symptom treatment/symptom treat/prevent success/failure pass/fail
  profit/loss income/expense asset/liability debit/credit supply/demand gross/net optional/required mandatory/optional manual/automatic
  local/remote internal/external synchronous/asynchronous sync/async static/dynamic singular/plural past/future previous/next
  include/exclude with/without gain/lose save/spend deposit/withdraw withdrawal/deposit refund/charge upgrade/downgrade
  promote/demote hire/fire wake/sleep push/pop plus/minus multiply/divide square/cube odd/even even/odd ancestor/descendant
  http/https get/post row/column width/height length/width latitude/longitude sunrise/sunset breakfast/lunch/dinner
  red/blue/green/yellow/black/white/orange/purple/brown/pink java/javascript python/ruby/java/rust/go mysql/postgresql/postgres/sqlite
  windows/linux/macos/mac android/ios iphone/android png/jpeg/jpg json/xml/yaml/csv merge/rebase commit/revert`

/** For each word, the words that cannot stand for it. */
export const opposites: ReadonlyMap<string, ReadonlySet<string>> = (() => {
  const out = new Map<string, Set<string>>()
  for (const group of list(opposed)) {
    const words = group.split("/")
    for (const word of words) {
      const others = out.get(word) ?? new Set<string>()
      for (const other of words) if (other !== word) others.add(other)
      out.set(word, others)
    }
  }
  return out
})()

/** Words that carry no matter of their own: questions asked with others of them may be the same. */
export const fillers = new Set(
  list(`a an the this that these those i me my mine we us our you your he him his she her it its they them their is are was were be
 been being am do does did doing done have has had having can could will would might what which
 how to of in on at for with into as and or but if then than so such there here please kindly
 tell explain describe show give list know want need like help let say just also really actually exactly mean means meaning
 way ways best thanks thank hi hello hey get make find out up work works whats hows im id ive lets ok okay possible
 steps step someone anyone people person one thing things something quickly briefly now go able use using`)
)

/** Auxiliaries of what is over. */
export const past = new Set(list("was were did had wasnt werent didnt hadnt"))

/** Words that say the same here. A word not listed stands for itself. */
export const synonyms = new Map(
  list(`purchase:buy buying:buy bought:buy obtain:get acquire:get fix:repair mend:repair automobile:car fast:quick quickly:quick
    begin:start commence:start finish:end large:big huge:big tiny:small little:small kids:child children:child
    modify:change alter:change update:change reset:change erase:delete remove:delete photo:picture photos:picture image:picture
    pictures:picture images:picture movie:film movies:film shop:store folder:directory folders:directory directories:directory
    email:mail e-mail:mail mails:mail emails:mail cost:price costs:price difference:differ differences:differ differ:differ
    differs:differ larger:bigger town:city build:construct built:construct construct:construct weigh:weight phone:telephone
    cellphone:telephone mobile:telephone nation:country nations:country countries:country`).map(
    (pair) => pair.split(":") as unknown as readonly [string, string]
  )
)
