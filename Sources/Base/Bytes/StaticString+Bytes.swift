// SPDX-License-Identifier: Apache-2.0
// Texts of the program as bytes.

extension StaticString {
    /// The text's bytes, which live as long as the program.
    @inlinable package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
