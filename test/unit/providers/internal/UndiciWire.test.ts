/** Servers that misbehave, on real sockets: each is heard to its end, harms no later call, and leaves nothing open. */
import { Agent } from "@effect/platform-node/Undici"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import { type AddressInfo, createServer, type Socket } from "node:net"
import type { Link, Opened } from "../../../../packages/providers/src/internal/Link.ts"
import * as UndiciWire from "../../../../packages/providers/src/internal/UndiciWire.ts"
import * as WireLink from "../../../../packages/providers/src/internal/WireLink.ts"

/** A server that answers each request with bytes as they are, once its body has come. */
const serving = (answer: (socket: Socket, request: number) => void, readsBody = true) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      const seen = { connections: 0, requests: 0, open: () => sockets.size, url: "" }
      const server = createServer((socket) => {
        seen.connections++
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
        let text = ""
        socket.on("data", (data) => {
          text += data.toString("latin1")
          const head = text.indexOf("\r\n\r\n")
          if (head < 0) return
          const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
          if (readsBody && text.length < head + 4 + length) return
          text = readsBody ? text.slice(head + 4 + length) : ""
          if (!readsBody) socket.pause()
          answer(socket, ++seen.requests)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      seen.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
      return { server, sockets, seen }
    }),
    ({ server, sockets }) =>
      Effect.promise(() => {
        for (const socket of sockets) socket.destroy()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })
  ).pipe(Effect.map(({ seen }) => seen))

const linking = (options: Agent.Options = {}) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Agent({ connections: 1, pipelining: 1, ...options })),
      (agent) => Effect.promise(() => agent.destroy())
    ),
    (agent) => WireLink.make(UndiciWire.make(agent))
  )

const bodyOf = ({ pull }: Opened) =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    const loop: Effect.Effect<string, unknown> = Pull.matchEffect(pull, {
      onSuccess: (next) => {
        chunks.push(...next)
        return loop
      },
      onDone: () => Effect.sync(() => Buffer.concat(chunks).toString()),
      onFailure: (cause) => Effect.failCause(cause as Cause.Cause<never>)
    })
    return loop
  })

const asking = (link: Link, url: string, body = "{}") =>
  link.within({ url, headers: {}, body, target: { provider: "test", model: "m" } }, (opened) =>
    Effect.map(bodyOf(opened) as Effect.Effect<string>, (text) => [opened.head.status, text] as const)
  )

const until = (check: () => boolean) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 500 && !check(); tries++) yield* Effect.sleep("5 millis")
    assert.isTrue(check())
  })

const plain = (text: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`

describe("the wire over undici", () => {
  const unhandled: Array<unknown> = []
  const hear = (error: unknown) => void unhandled.push(error)
  beforeEach(() => {
    unhandled.length = 0
    process.on("uncaughtExceptionMonitor", hear)
    process.on("unhandledRejection", hear)
  })
  afterEach(() => {
    process.off("uncaughtExceptionMonitor", hear)
    process.off("unhandledRejection", hear)
    assert.deepStrictEqual(unhandled, [])
  })

  const odd: ReadonlyArray<readonly [string, (socket: Socket) => void, readonly [number, string] | string]> = [
    ["more than it has said", (socket) => socket.write(`${plain("whole")}and more`), [200, "whole"]],
    ["two answers", (socket) => socket.write(plain("whole") + plain("another")), [200, "whole"]],
    [
      "informational heads first",
      (socket) =>
        socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${plain("whole")}`),
      [200, "whole"]
    ],
    [
      "trailers",
      (socket) =>
        socket.write(
          "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nwhole\r\n0\r\nx-sum: 1\r\n\r\n"
        ),
      [200, "whole"]
    ],
    ["a reset after the end", (socket) => socket.write(plain("whole"), () => socket.resetAndDestroy()), [200, "whole"]],
    ["a body that ends with its connection", (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nwhole"), [200, "whole"]],
    ["no body", (socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n"), [204, ""]],
    ["less than it has said", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), "reset"],
    [
      "a chunk that breaks off",
      (socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf"),
      "reset"
    ],
    ["a close before the head", (socket) => socket.end(), "reset"],
    ["half a head", (socket) => socket.end("HTTP/1.1 200 O"), "reset"],
    ["a reset before the head", (socket) => void socket.resetAndDestroy(), "reset"],
    ["what is no HTTP", (socket) => socket.write("SSH-2.0-OpenSSH_9.6\r\n"), "read"],
    ["a head without end", (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`), "read"],
    [
      "an upgrade that nobody asked for",
      (socket) => socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
      "reset"
    ]
  ]
  it.live.each(odd)("%s", ([, answer, expected]) =>
    Effect.gen(function* () {
      const server = yield* serving((socket, request) =>
        request === 1 ? answer(socket) : void socket.write(plain("next"))
      )
      const link = yield* linking()
      const exit = yield* Effect.exit(asking(link, server.url))
      if (typeof expected === "string") {
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit.value
        assert.include(error, { _tag: "TransportError", phase: expected })
      } else assert.deepStrictEqual(exit, Exit.succeed(expected))
      // A reset is on its way for a moment.
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(yield* asking(link, server.url), [200, "next"])
      assert.deepStrictEqual(yield* asking(link, server.url), [200, "next"])
      yield* until(() => server.open() <= 1)
    }).pipe(Effect.scoped)
  )

  it.live("an answer that comes before all was sent", () =>
    Effect.gen(function* () {
      const server = yield* serving((socket, request) => {
        if (request === 1) socket.end("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        else socket.write(plain("next"))
      }, false)
      const link = yield* linking()
      const exit = yield* Effect.exit(asking(link, server.url, "x".repeat(30_000_000)))
      assert.deepStrictEqual(exit, Exit.succeed([413, "big"] as const))
      assert.deepStrictEqual(yield* asking(link, server.url), [200, "next"])
    }).pipe(Effect.scoped)
  )

  const head = "HTTP/1.1 200 OK\r\ncontent-length: 90000000\r\n\r\n"
  it.live.each<readonly [string, (socket: Socket) => void]>([
    ["while the head is waited for", () => {}],
    ["in the middle of the body", (socket) => socket.write(`${head}half`)],
    ["while nobody reads", (socket) => socket.write(head + "x".repeat(20_000_000))]
  ])("given up %s, the connection is closed and the next call has another", ([when, answer]) =>
    Effect.gen(function* () {
      const server = yield* serving((socket, request) =>
        request === 1 ? answer(socket) : void socket.write(plain("next"))
      )
      const link = yield* linking()
      const call = { url: server.url, headers: {}, body: "{}", target: { provider: "test", model: "m" } }
      const fiber = yield* Effect.forkChild(
        link.within(call, (opened) =>
          when === "while nobody reads" ? Effect.never : (bodyOf(opened) as Effect.Effect<string>)
        )
      )
      yield* until(() => server.requests === 1)
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(fiber)
      yield* until(() => server.open() === 0)
      assert.deepStrictEqual(yield* asking(link, server.url), [200, "next"])
      assert.strictEqual(server.connections, 2)
    }).pipe(Effect.scoped)
  )

  it.live("given up while it connects, it is never sent, and leaves no connection behind its pool", () =>
    Effect.gen(function* () {
      const server = yield* serving((socket) => void socket.write(plain("next")))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const link = yield* linking()
          for (let index = 0; index < 20; index++) {
            const fiber = yield* Effect.forkChild(asking(link, server.url), { startImmediately: true })
            yield* Fiber.interrupt(fiber)
          }
          yield* Effect.sleep("50 millis")
          assert.strictEqual(server.requests, 0)
          assert.deepStrictEqual(yield* asking(link, server.url), [200, "next"])
        })
      )
      yield* until(() => server.open() === 0)
      assert.strictEqual(server.requests, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a connection is used again after an answer that was read, also by one that was interrupted after it", () =>
    Effect.gen(function* () {
      const server = yield* serving((socket) => void socket.write(plain("next")))
      const link = yield* linking()
      for (let index = 0; index < 5; index++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.gen(function* () {
              const call = { url: server.url, headers: {}, body: "{}", target: { provider: "test", model: "m" } }
              const opened = yield* link.open(call)
              yield* bodyOf(opened)
              return yield* Effect.never
            })
          )
        )
        yield* until(() => server.requests === index + 1)
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(server.connections, 1)
    }).pipe(Effect.scoped)
  )
})
