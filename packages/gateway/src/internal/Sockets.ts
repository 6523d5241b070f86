/** What is answered where there is no request yet, and how a connection ends whose request was not read. */
import type * as Net from "node:net"
import type { Exchange } from "./Exchange.ts"
import { type Problem, problem } from "./Problem.ts"
import { encodeError } from "../wire/openai/Errors.ts"

const texts: { readonly [status: number]: string } = {
  400: "Bad Request",
  408: "Request Timeout",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large"
}

const problemOf = (code: string | undefined): Problem => {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return problem("headers-too-large", "The headers are too large.")
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return problem("too-large", "The chunk extensions are too large.")
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return problem("timeout", "The request did not arrive in time.")
    default:
      return problem("invalid-request", "The request is not valid HTTP.")
  }
}

/** Answers a request that could not be parsed, and closes its connection. */
export const onClientError = (error: NodeJS.ErrnoException, socket: Net.Socket): void => {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy()
    return
  }
  const { body, status } = encodeError(problemOf(error.code))
  socket.end(
    `HTTP/1.1 ${status} ${texts[status] ?? "Bad Request"}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  )
}

/** Bytes of a refused body that are still taken in, so that the client gets to read why. */
const drainBytes = 4 * 1024 * 1024

/** Lets go of a request whose body was not read: some of it is taken in and thrown away, then the socket is closed. */
export const closeGently = ({ req, res }: Exchange): void => {
  if (req.complete) return
  let left = drainBytes
  req.on("data", (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) req.socket.destroy()
  })
  req.on("error", () => {})
  req.resume()
  res.once("finish", () => req.socket.destroySoon())
}
