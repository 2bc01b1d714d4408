// SPDX-License-Identifier: Apache-2.0
// Decompression straight into memory that many readers share.

import CShims

extension Zstd {
    /// Unpacks one frame that holds exactly `count` bytes, without a second copy.
    ///
    /// - Throws: `CompressionError.malformed` when the frame is damaged or states another size;
    ///   nothing is allocated in the latter case.
    package static func decompress(
        _ input: UnsafeRawBufferPointer, exactly count: Int
    ) throws(CompressionError) -> SharedBytes {
        guard let base = input.baseAddress?.assumingMemoryBound(to: UInt8.self),
            tern_zstd_declared_size(base, input.count) == count
        else { throw .malformed("zstd") }
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Swift.max(count, 1), alignment: 16)
        var code = -1
        if let out = memory.baseAddress {
            code = tern_zstd_decompress(
                out.assumingMemoryBound(to: UInt8.self), count, base, input.count)
        }
        guard code == count else {
            memory.deallocate()
            throw .malformed("zstd")
        }
        return SharedBytes(
            UnsafeRawBufferPointer(start: memory.baseAddress, count: count),
            release: { memory.deallocate() })
    }
}
