/**
 * The codec of OpenAI's chat completions and embeddings: pure, both ways.
 */
export { decodeChat, decodeEmbeddings } from "./Decode.ts"
export { encodeChat, encodeEmbeddings, promptCharacters } from "./Encode.ts"
export { ChatStreamDecoder } from "./StreamDecode.ts"
