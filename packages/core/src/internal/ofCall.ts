/** What an event of a policy says of the attempt that it is about. */
import type { AttemptCall } from "../domain/Attempt.ts"

const nothing = {}

export const ofCall = (call: AttemptCall | undefined): { readonly requestId?: string; readonly attempt?: number } =>
  call === undefined ? nothing : { requestId: call.requestId, attempt: call.attempt }
