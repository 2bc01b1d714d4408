// SPDX-License-Identifier: Apache-2.0
// What a decoder of bytes can say.

/// Bytes that are not what the format promises.
@usableFromInline package struct MalformedBytes: Error, Equatable, Sendable, CustomStringConvertible
{
    /// Byte offset from the start of the input at which reading failed.
    package var offset: Int
    /// What was expected there, as a fragment: "varint", "label value of 12 bytes".
    package var expected: String

    package init(offset: Int, expected: String) {
        self.offset = offset
        self.expected = expected
    }

    @usableFromInline package var description: String {
        "malformed bytes at offset \(offset): expected \(expected)"
    }
}
