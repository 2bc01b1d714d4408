// SPDX-License-Identifier: Apache-2.0
// Compression of bodies that are made while they are sent.

import Base
import Synchronization

/// The pieces of another body, compressed.
final class CompressedBody: BodyStream {
    private struct State: ~Copyable {
        var packer: DeflateStream
        var isFinished = false
    }
    private let pieces: any BodyStream
    private let state: Mutex<State>

    /// Nil when there is no memory for it.
    init?(_ pieces: any BodyStream, _ format: Deflate.Format) {
        guard let packer = DeflateStream(format) else { return nil }
        self.pieces = pieces
        state = Mutex(State(packer: packer))
    }

    func next() async throws -> [UInt8]? {
        while !(state.withLock { $0.isFinished }) {
            let piece = try await pieces.next()
            let packed = try state.withLock { state in
                state.isFinished = piece == nil
                return try state.packer.write(piece ?? [], isLast: piece == nil)
            }
            if !packed.isEmpty { return packed }
        }
        return nil
    }

    func end() { pieces.end() }
}
