/**
 * The file of a log, open to be written, and the small file beside it that says where the log ends.
 *
 * A batch is there when the log is on the disk and the head, written anew and renamed, says so. What stands after the
 * entry that the head names was never acknowledged.
 */
import { constants } from "node:fs"
import { type FileHandle, open, readFile, readlink, realpath, rename, rm, stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { isLine, type Line, Splitter, wholeLines } from "./fileLines.ts"
import { parseHead } from "./record.ts"

const pieceBytes = 64 * 1024

const headPath = (path: string): string => `${path}.head`

const newHeadPath = (path: string): string => `${headPath(path)}.new`

/** Waits for both, also if one fails: what is taken back then must not be written any more. */
const bothOf = async (one: Promise<void>, other: Promise<void>): Promise<void> => {
  for (const result of await Promise.allSettled([one, other])) {
    if (result.status === "rejected") throw result.reason
  }
}

/** The number of a line by its looks; `undefined` for none. */
const seqOf = (text: string): number | undefined => {
  const found = /^\{"v":1,"type":"\w+","seq":(\d{1,16}),/.exec(text)
  return found === null ? undefined : Number(found[1])
}

/** The text of the head; `undefined` for none. */
export const readHead = async (path: string): Promise<string | undefined> => {
  try {
    const text = await readFile(headPath(path), "latin1")
    return text.endsWith("\n") ? text.slice(0, -1) : text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}

const writeAll = async (file: FileHandle, bytes: Buffer, position: number): Promise<void> => {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
    at += bytesWritten
  }
}

export const readPiece = async (file: FileHandle, from: number, to: number): Promise<Buffer> => {
  const piece = Buffer.allocUnsafe(Math.max(0, to - from))
  let got = 0
  while (got < piece.length) {
    const { bytesRead } = await file.read(piece, got, piece.length - got, from + got)
    if (bytesRead === 0) break
    got += bytesRead
  }
  return piece.subarray(0, got)
}

/** The lines before a place, the newest first, until there are enough. */
export const linesBefore = async (
  file: FileHandle,
  end: number,
  enough: (lines: ReadonlyArray<Line>) => boolean
): Promise<ReadonlyArray<Line>> => {
  for (let bytes = pieceBytes; ; bytes *= 4) {
    const from = Math.max(0, end - bytes)
    const lines = wholeLines(await readPiece(file, from, end), from)
    if (from === 0 || enough(lines)) return lines.toReversed()
  }
}

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(dirname(path), "r")
  try {
    await folder.sync()
  } catch {
    // Some systems cannot; the file itself is there.
  } finally {
    await folder.close()
  }
}

const ownMode = 0o600

const openToWrite = (path: string, more = 0): Promise<FileHandle> =>
  open(path, constants.O_RDWR | constants.O_CREAT | more, ownMode)

/** Opens a file that is to take the place of another one: who may read that one may read this one. */
const openAnew = async (path: string, mode: number): Promise<FileHandle> => {
  const file = await openToWrite(path, constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0))
  if (mode === ownMode) return file
  try {
    await file.chmod(mode)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Where a log is, if its path is a link: all that stands beside it stands there. */
export const realPath = async (path: string): Promise<string> => {
  try {
    return await realpath(path)
  } catch {
    // A link to a file that is not there yet, or no link.
    const to = await readlink(path).catch(() => undefined)
    return to === undefined ? path : resolve(dirname(path), to)
  }
}

export class LogFile {
  readonly path: string
  head: string | undefined
  last: string | undefined
  /** Bytes that hold whole lines. */
  end = 0
  repaired: { readonly offset: number; readonly bytes: number } | undefined
  private file: FileHandle
  /** Bytes that the file has, or should have. */
  private size = 0
  /** Who may do what with it. */
  private mode = ownMode
  private readonly sync: boolean

  private constructor(path: string, file: FileHandle, sync: boolean) {
    this.path = path
    this.file = file
    this.sync = sync
  }

  /** Opens a log, or makes one, and finds its end. */
  static async open(path: string, sync: boolean): Promise<LogFile> {
    const log = new LogFile(path, await openToWrite(path), sync)
    try {
      log.size = (await log.file.stat()).size
      log.head = await readHead(path)
      if (log.size === 0) await syncFolder(path)
      await log.findEnd()
      return log
    } catch (error) {
      await log.file.close()
      throw error
    }
  }

  close(): Promise<void> {
    return this.file.close()
  }

  /**
   * Looks for the end of what was written to its end. Nothing is cut off yet: what the next batch does not write over, it
   * cuts, so that the repair and its record are one.
   */
  private async findEnd(): Promise<void> {
    const headSeq = this.head === undefined ? undefined : parseHead(this.head)?.seq
    const lines = (
      await linesBefore(this.file, this.size, (some) =>
        some.some(({ text }) => headSeq !== undefined && (seqOf(text) ?? Infinity) <= headSeq)
      )
    ).toReversed()
    const acknowledged = headSeq === undefined ? -1 : lines.findIndex(({ text }) => seqOf(text) === headSeq)
    const broken = lines.findIndex(({ text }, index) => index > acknowledged && !isLine(text))
    const whole = broken < 0 ? lines : lines.slice(0, broken)
    const last = whole.at(-1)
    // Without the entry that the head names, or without a head, this is no crash: it is left for others to look at.
    const isCrash = headSeq === undefined ? this.head === undefined && whole.length <= 1 : acknowledged >= 0
    this.end = last === undefined ? 0 : last.offset + last.bytes
    this.last = last?.text ?? (this.size > 0 && !isCrash ? "" : undefined)
    if (isCrash && this.end < this.size) this.repaired = { offset: this.end, bytes: this.size - this.end }
  }

  async append(lines: ReadonlyArray<{ readonly text: string }>, head: string): Promise<void> {
    await this.untouched()
    const bytes = Buffer.from(lines.map(({ text }) => `${text}\n`).join(""), "latin1")
    const end = this.end + bytes.length
    try {
      await bothOf(this.writeLines(bytes, end), this.prepareHead(head))
      await rename(newHeadPath(this.path), headPath(this.path))
    } catch (error) {
      await this.takeBack()
      throw error
    }
    this.end = end
    this.size = end
    this.head = head
    this.last = lines.at(-1)?.text ?? this.last
  }

  /** Puts a checkpoint before what follows a number. */
  async prune(through: number, checkpoint: string, first: string): Promise<boolean> {
    await this.untouched()
    const from = await this.offsetAfter(through, first)
    if (from === undefined) return false
    const path = `${this.path}.new`
    const file = await openAnew(path, this.mode)
    const before = Buffer.from(`${checkpoint}\n`, "latin1")
    try {
      await writeAll(file, before, 0)
      for (let at = from; at < this.end; at += pieceBytes) {
        const piece = await readPiece(this.file, at, Math.min(this.end, at + pieceBytes))
        await writeAll(file, piece, before.length + at - from)
      }
      await file.sync()
      await rename(path, this.path)
    } catch (error) {
      await file.close()
      // On a full disk it would be in the way of what is still to be written.
      await rm(path, { force: true })
      throw error
    }
    await this.file.close()
    this.file = file
    this.end = before.length + this.end - from
    this.size = this.end
    if (this.end === before.length) this.last = checkpoint
    await syncFolder(this.path)
    return true
  }

  newest(limit: number, before = this.end): Promise<ReadonlyArray<Line>> {
    return linesBefore(this.file, Math.min(before, this.end), (lines) => lines.length >= limit)
  }

  private async offsetAfter(through: number, first: string): Promise<number | undefined> {
    const splitter = new Splitter(0)
    for (let at = 0; at < this.end; at += pieceBytes) {
      for (const line of splitter.push(await readPiece(this.file, at, Math.min(this.end, at + pieceBytes)))) {
        if (line.offset === 0 && line.text !== first) return undefined
        const seq = seqOf(line.text)
        if (seq === undefined) return undefined
        if (seq > through) return line.offset
      }
    }
    return this.end
  }

  /** Throws if the file is not the one that was written, or not as long. */
  private async untouched(): Promise<void> {
    const [there, own] = [await stat(this.path), await this.file.stat()]
    if (there.ino !== own.ino || there.dev !== own.dev) throw new Error("another file stands in its place")
    if (own.size !== this.size) throw new Error(`it has ${own.size} bytes where ${this.size} were written`)
    this.mode = own.mode & 0o777
  }

  private async writeLines(bytes: Buffer, end: number): Promise<void> {
    await writeAll(this.file, bytes, this.end)
    if (end < this.size) await this.file.truncate(end)
    if (this.sync) await this.file.datasync()
  }

  /** Writes the next head beside the one in force: at the same time as the lines, so that the disk is waited for once. */
  private async prepareHead(head: string): Promise<void> {
    const file = await openAnew(newHeadPath(this.path), this.mode)
    try {
      await writeAll(file, Buffer.from(`${head}\n`, "latin1"), 0)
      if (this.sync) await file.datasync()
    } finally {
      await file.close()
    }
  }

  /** After a batch that failed: what of it is there goes. */
  private async takeBack(): Promise<void> {
    try {
      await this.file.truncate(this.end)
      this.size = this.end
    } catch {
      try {
        this.size = (await this.file.stat()).size
      } catch {
        // Then nothing will be appended until it can be looked at again.
      }
    }
  }
}
