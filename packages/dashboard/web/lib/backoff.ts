/** How long to wait before asking again: doubled with every failure up to half a minute, and spread by chance. */

const baseMs = 1_000
const mostMs = 30_000

/** `failures` counts from 1; `chance` is from 0 to 1. Between half and all of the doubled time. */
export const delayMs = (failures: number, chance: number): number => {
  const whole = Math.min(mostMs, baseMs * 2 ** Math.min(10, Math.max(0, failures - 1)))
  return whole * (0.5 + chance / 2)
}
