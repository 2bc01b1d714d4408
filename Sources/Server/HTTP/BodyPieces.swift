// SPDX-License-Identifier: Apache-2.0
// A request's body while it arrives.

import Hummingbird
import NIOCore

/// The pieces of a body in order, as they come; the client is read no faster than they are taken.
struct BodyPieces: Sendable {
    let body: RequestBody
    let count = ByteCount()

    /// - Throws: what `take` throws, and when the client goes away.
    func forEach(_ take: ([UInt8]) async throws -> Void) async throws {
        for try await buffer in body {
            count.add(buffer.readableBytes)
            try await take(buffer.withUnsafeReadableBytes { Array($0) })
        }
    }
}
