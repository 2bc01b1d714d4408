// SPDX-License-Identifier: Apache-2.0
// Compression of what is made piece by piece.

import CShims

/// Compresses a sequence of pieces into one gzip or zlib stream. Not for use by two threads at once.
package struct DeflateStream: ~Copyable {
    private let packer: OpaquePointer
    private static let outputBytes = 1 << 16

    /// Nil when there is no memory for it: about 270 KB.
    package init?(_ format: Deflate.Format, level: Int32 = 1) {
        let kind = format == .gzip ? TERN_GZIP : TERN_DEFLATE
        guard let packer = tern_packer_new(CInt(kind), level) else { return nil }
        self.packer = packer
    }

    deinit { tern_packer_free(packer) }

    /// Takes a piece.
    ///
    /// - Parameter isLast: nothing follows; the end of the stream is written.
    /// - Returns: what is compressed so far, often nothing.
    /// - Throws: when the stream had ended already.
    package mutating func write(
        _ piece: [UInt8], isLast: Bool
    ) throws(CompressionError) -> [UInt8] {
        var result: [UInt8] = []
        var isRefused = false
        piece.withUnsafeBufferPointer { piece in
            var taken = 0
            var isFull = true
            while isFull {
                let rest = UnsafeBufferPointer(rebasing: piece[taken...])
                let block = [UInt8](unsafeUninitializedCapacity: Self.outputBytes) { out, count in
                    guard let base = out.baseAddress else { return }
                    var used = 0
                    let written = tern_packer_write(
                        packer, base, Self.outputBytes, rest.baseAddress, rest.count, isLast, &used)
                    isRefused = written < 0
                    count = max(0, written)
                    taken += used
                }
                isFull = block.count == Self.outputBytes
                result += block
            }
        }
        if isRefused { throw .malformed("deflate stream") }
        return result
    }
}
