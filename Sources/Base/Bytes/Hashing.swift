// SPDX-License-Identifier: Apache-2.0
// Hash and checksum of bytes.

import CShims

/// 64-bit hash of bytes. The same in every process and version: on-disk structures hold it.
///
/// - Complexity: O(n), about 8 bytes per nanosecond; not resistant to chosen collisions, so
///   whoever looks up by it compares the bytes as well.
@usableFromInline package func hash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    tern_hash64(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, seed)
}

/// See `hash64(_:seed:)` over raw bytes.
@usableFromInline package func hash64(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { hash64($0, seed: seed) }
}

/// CRC32C (Castagnoli) of bytes; pass an earlier result as `crc` to continue it.
package func crc32c(_ bytes: UnsafeRawBufferPointer, _ crc: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return crc }
    return tern_crc32c(crc, base, bytes.count)
}

/// See `crc32c(_:_:)` over raw bytes.
package func crc32c(_ bytes: [UInt8], _ crc: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { crc32c($0, crc) }
}
