// SPDX-License-Identifier: Apache-2.0
// Bytes that live as long as one line is worked on.

typealias Bytes = UnsafeRawBufferPointer

/// A bump allocator: what stages make of a line (unescaped values, formatted text) lies here until
/// the next line begins. Addresses stay valid until `reset`.
final class ScratchArena {
    private static let chunkBytes = 64 * 1024
    private var chunks: [UnsafeMutableRawBufferPointer] = []
    private var chunk = 0
    private var used = 0

    deinit { for chunk in chunks { chunk.deallocate() } }

    /// Forgets everything and keeps one chunk of memory.
    func reset() {
        if chunks.count > 1 {
            for extra in chunks.dropFirst() { extra.deallocate() }
            chunks.removeSubrange(1...)
        }
        chunk = 0
        used = 0
    }

    func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if chunk < chunks.count, used + count <= chunks[chunk].count {
            let piece = UnsafeMutableRawBufferPointer(
                rebasing: chunks[chunk][used..<used + count])
            used += count
            return piece
        }
        chunks.append(
            UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(count, ScratchArena.chunkBytes), alignment: 16))
        chunk = chunks.count - 1
        used = count
        return UnsafeMutableRawBufferPointer(rebasing: chunks[chunk][..<count])
    }

    func keep(_ bytes: Bytes) -> Bytes {
        if bytes.isEmpty { return bytes }
        let piece = allocate(bytes.count)
        piece.copyMemory(from: bytes)
        return Bytes(piece)
    }

    func keep(_ bytes: [UInt8]) -> Bytes { bytes.withUnsafeBytes { keep($0) } }

    func keep(_ text: String) -> Bytes {
        var text = text
        return text.withUTF8 { keep(Bytes($0)) }
    }

    /// `first` and `second` behind one another.
    func join(_ first: Bytes, _ second: Bytes) -> Bytes {
        let piece = allocate(first.count + second.count)
        for i in 0..<first.count { piece[i] = first[i] }
        for i in 0..<second.count { piece[first.count + i] = second[i] }
        return Bytes(piece)
    }
}

extension UnsafeRawBufferPointer {
    static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    /// A part of these bytes.
    @inline(__always) func part(_ range: Range<Int>) -> Bytes { Bytes(rebasing: self[range]) }

    var text: String { String(decoding: self, as: UTF8.self) }
}
