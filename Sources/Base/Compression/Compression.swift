// SPDX-License-Identifier: Apache-2.0
// One-shot compression, bounded on the way out.

import CShims

/// Why compressed bytes could not be taken.
package enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes are not the named format, or are damaged or cut short.
    case malformed(String)
    /// They would unpack to more than the limit, in bytes. Nothing was kept.
    case tooLarge(limit: Int)

    package var description: String {
        switch self {
        case .malformed(let format): "malformed \(format) data"
        case .tooLarge(let limit): "decompressed size exceeds the limit of \(limit) bytes"
        }
    }
}

extension [UInt8] {
    fileprivate func withBase<R>(_ body: (UnsafePointer<UInt8>, Int) -> R) -> R {
        withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else {
                return withUnsafePointer(to: 0) { body($0, 0) }
            }
            return body(base, buffer.count)
        }
    }
}

/// Makes an array of at most `capacity` bytes through a C function that returns a count.
private func produce(
    _ capacity: Int, _ body: (UnsafeMutablePointer<UInt8>, Int) -> Int
) -> (bytes: [UInt8], code: Int) {
    var code = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Swift.max(capacity, 1)) { buffer, count in
        guard let base = buffer.baseAddress else { return }
        code = body(base, capacity)
        count = Swift.max(0, code)
    }
    return (bytes, code)
}

/// Grows the output by doubling until `body` fits it or `limit` is passed.
private func produceGrowing(
    from inputCount: Int, limit: Int, format: String,
    _ body: (UnsafeMutablePointer<UInt8>, Int) -> Int
) throws(CompressionError) -> [UInt8] {
    var capacity = Swift.min(limit, Swift.max(4096, inputCount &* 6))
    while true {
        let (bytes, code) = produce(capacity, body)
        if code >= 0 { return bytes }
        guard code == Int(TERN_NO_SPACE) else { throw .malformed(format) }
        guard capacity < limit else { throw .tooLarge(limit: limit) }
        capacity = Swift.min(limit, capacity &* 4)
    }
}

/// Zstandard.
package enum Zstd {
    /// Compresses `input`. Level 1 is for blocks on the write path, 3 and above for merges.
    package static func compress(_ input: [UInt8], level: Int32 = 1) -> [UInt8] {
        input.withBase { base, n in
            produce(tern_zstd_bound(n)) { tern_zstd_compress($0, $1, base, n, level) }.bytes
        }
    }

    /// Unpacks one frame into at most `limit` bytes.
    package static func decompress(
        _ input: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        guard let base = input.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            throw .malformed("zstd")
        }
        let declared = tern_zstd_declared_size(base, input.count)
        if declared == -1 { throw .malformed("zstd") }
        if declared > limit { throw .tooLarge(limit: limit) }
        if declared >= 0 {
            let (bytes, code) = produce(declared) {
                tern_zstd_decompress($0, $1, base, input.count)
            }
            guard code == declared else { throw .malformed("zstd") }
            return bytes
        }
        return try produceGrowing(from: input.count, limit: limit, format: "zstd") {
            tern_zstd_decompress($0, $1, base, input.count)
        }
    }

    /// See `decompress(_:limit:)` over raw bytes.
    package static func decompress(
        _ input: [UInt8], limit: Int
    ) throws(CompressionError) -> [UInt8] {
        let result = input.withUnsafeBytes { bytes -> Result<[UInt8], CompressionError> in
            do throws(CompressionError) {
                return .success(try decompress(bytes, limit: limit))
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}

/// Snappy's block format.
package enum Snappy {
    package static func compress(_ input: [UInt8]) -> [UInt8] {
        input.withBase { base, n in
            produce(tern_snappy_bound(n)) { out, _ in tern_snappy_compress(out, base, n) }.bytes
        }
    }

    /// Unpacks a block whose declared size must not exceed `limit` bytes.
    package static func decompress(
        _ input: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        guard let base = input.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            throw .malformed("snappy")
        }
        let declared = tern_snappy_declared_size(base, input.count)
        guard declared >= 0 else { throw .malformed("snappy") }
        guard declared <= limit else { throw .tooLarge(limit: limit) }
        // A block cannot shrink by more than about 64:3; a bigger claim is a lie, and is refused
        // before memory is taken for it.
        guard declared <= 1024 || declared / 64 <= input.count else { throw .malformed("snappy") }
        let (bytes, code) = produce(declared) { out, _ in
            tern_snappy_decompress(out, base, input.count) ? declared : -1
        }
        guard code >= 0 else { throw .malformed("snappy") }
        return bytes
    }
}

/// gzip, zlib and raw deflate.
package enum Deflate {
    package enum Format: Sendable { case gzip, deflate }

    package static func decompress(
        _ input: UnsafeRawBufferPointer, _ format: Format, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        let name = format == .gzip ? "gzip" : "deflate"
        guard let base = input.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            throw .malformed(name)
        }
        let kind = format == .gzip ? TERN_GZIP : TERN_DEFLATE
        return try produceGrowing(from: input.count, limit: limit, format: name) {
            tern_inflate($0, $1, base, input.count, CInt(kind))
        }
    }

    /// Compresses into one gzip member.
    package static func gzip(_ input: [UInt8], level: Int32 = 1) -> [UInt8] {
        input.withBase { base, n in
            produce(tern_gzip_bound(n)) { tern_gzip_compress($0, $1, base, n, level) }.bytes
        }
    }

    /// Compresses into zlib's format, which HTTP calls deflate.
    package static func zlib(_ input: [UInt8], level: Int32 = 1) -> [UInt8] {
        input.withBase { base, n in
            produce(tern_gzip_bound(n)) { tern_zlib_compress($0, $1, base, n, level) }.bytes
        }
    }
}
