// SPDX-License-Identifier: Apache-2.0
// A piece of a batch's arena.

/// Where a piece of bytes lies in its batch's arena. Arenas stay below 4 GiB: a request body is
/// limited to far less.
@usableFromInline package struct ByteSlice: Hashable, Sendable, BitwiseCopyable {
    @usableFromInline package var offset: UInt32
    @usableFromInline package var count: UInt32

    @inlinable package init(offset: Int, count: Int) {
        self.offset = UInt32(offset)
        self.count = UInt32(count)
    }
    @usableFromInline package static let empty = ByteSlice(offset: 0, count: 0)
    @inlinable package var isEmpty: Bool { count == 0 }
    @inlinable package var range: Range<Int> { Int(offset)..<(Int(offset) + Int(count)) }
}

extension Array where Element == UInt8 {
    /// Appends bytes and says where they lie.
    @inlinable package mutating func keep(_ bytes: UnsafeRawBufferPointer) -> ByteSlice {
        let start = count
        append(contentsOf: bytes)
        return ByteSlice(offset: start, count: bytes.count)
    }
    @inlinable package mutating func keep(_ text: String) -> ByteSlice {
        let start = count
        append(contentsOf: text.utf8)
        return ByteSlice(offset: start, count: count - start)
    }
    /// The bytes of a slice as a string: for answers and messages.
    package func text(_ slice: ByteSlice) -> String {
        String(decoding: self[slice.range], as: UTF8.self)
    }
    /// Calls `body` with the bytes of a slice.
    @inlinable package func withSlice<R>(
        _ slice: ByteSlice, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        try withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[slice.range])) }
    }
}

/// A label set inside an arena, with its hash.
@usableFromInline package struct LabelsRef: Hashable, Sendable, BitwiseCopyable {
    /// Canonical label bytes.
    @usableFromInline package var slice: ByteSlice
    @usableFromInline package var hash: UInt64

    @inlinable package init(slice: ByteSlice, hash: UInt64) {
        self.slice = slice
        self.hash = hash
    }
}

extension Array where Element == UInt8 {
    package func labels(_ ref: LabelsRef) -> Labels {
        Labels(canonical: Array(self[ref.slice.range]), hash: ref.hash)
    }
}
