// SPDX-License-Identifier: Apache-2.0
// Immutable bytes with one owner and many readers.

/// A region of bytes that never changes and lives as long as anybody holds it: a mapped file, a
/// decompressed section, a test's array.
// The memory is written before `init` returns and never after; `release` runs once, in deinit.
@usableFromInline package final class SharedBytes: @unchecked Sendable {
    @usableFromInline package let buffer: UnsafeRawBufferPointer
    private let release: () -> Void
    private let dropPages: @Sendable () -> Void

    /// Takes over a region; `release` is called when the last holder is gone.
    ///
    /// - Parameter dropPages: lets the kernel take back pages that it can read again from a file;
    ///   may be called at any time while the region lives, from any thread.
    package init(
        _ buffer: UnsafeRawBufferPointer, release: @escaping () -> Void,
        dropPages: @escaping @Sendable () -> Void = {}
    ) {
        self.buffer = buffer
        self.release = release
        self.dropPages = dropPages
    }

    /// Takes the region out of what the process counts as resident, where it is a mapped file; the
    /// next read of a page brings it back, from the page cache when it is still there.
    package func releaseResidentPages() { dropPages() }

    /// Copies an array.
    package convenience init(_ bytes: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Swift.max(bytes.count, 1), alignment: 16)
        bytes.withUnsafeBytes { copy.copyMemory(from: $0) }
        self.init(
            UnsafeRawBufferPointer(start: copy.baseAddress, count: bytes.count),
            release: { copy.deallocate() })
    }

    deinit { release() }

    package var count: Int { buffer.count }

    /// Calls `body` with the bytes, which stay valid only during the call.
    @inlinable package func withBytes<R>(
        _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        defer { withExtendedLifetime(self) {} }
        return try body(buffer)
    }
}
