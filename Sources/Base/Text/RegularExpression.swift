// SPDX-License-Identifier: Apache-2.0
// RE2 with Go's syntax.

import CShims

/// A pattern that RE2 refused.
package struct RegexError: Error, Equatable, Sendable, CustomStringConvertible {
    package var pattern: String
    package var message: String
    package var description: String { "error parsing regexp: \(message)" }
}

/// A compiled regular expression: linear time whatever the pattern, safe to share.
///
/// Named `RegularExpression` so that it never meets the standard library's `Regex`.
// RE2 objects are safe for concurrent matching; the pointer never changes after `init`.
package final class RegularExpression: @unchecked Sendable {
    package struct Options: OptionSet, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }
        /// `.` also matches a newline, as Prometheus compiles its matchers.
        package static let dotMatchesNewline = Options(rawValue: 1)
        /// Bytes instead of UTF-8.
        package static let latin1 = Options(rawValue: 2)
        package static let caseInsensitive = Options(rawValue: 4)
    }

    /// The pattern as it was given.
    package let pattern: String
    /// Capture groups, without the whole match.
    package let groupCount: Int
    private let handle: OpaquePointer
    private let isLatin1: Bool

    package init(_ pattern: String, _ options: Options = []) throws(RegexError) {
        var pattern = pattern
        var message = [CChar](repeating: 0, count: 512)
        let compiled = pattern.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { chars in
                message.withUnsafeMutableBufferPointer { out -> OpaquePointer? in
                    guard let error = out.baseAddress else { return nil }
                    return withUnsafePointer(to: CChar(0)) { empty in
                        tern_regex_new(
                            chars.baseAddress ?? empty, chars.count, options.rawValue, error,
                            out.count)
                    }
                }
            }
        }
        guard let compiled else {
            let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw RegexError(pattern: pattern, message: String(decoding: text, as: UTF8.self))
        }
        self.pattern = pattern
        isLatin1 = options.contains(.latin1)
        handle = compiled
        groupCount = Int(tern_regex_group_count(compiled))
    }

    deinit { tern_regex_free(handle) }

    private func base(_ text: UnsafeRawBufferPointer) -> UnsafePointer<UInt8>? {
        text.baseAddress?.assumingMemoryBound(to: UInt8.self)
    }

    /// Whether the whole text matches. A byte that is not UTF-8 counts as U+FFFD, as in Go; RE2 by
    /// itself lets nothing match it.
    package func matchesWhole(_ text: UnsafeRawBufferPointer) -> Bool {
        if !isLatin1, let valid = replacingInvalidUTF8(text) {
            return valid.withUnsafeBytes { tern_regex_full(handle, base($0), $0.count) }
        }
        return tern_regex_full(handle, base(text), text.count)
    }

    /// Whether the pattern occurs anywhere in the text; bytes that are not UTF-8 as in
    /// `matchesWhole`.
    package func matchesAnywhere(_ text: UnsafeRawBufferPointer) -> Bool {
        if !isLatin1, let valid = replacingInvalidUTF8(text) {
            return valid.withUnsafeBytes { tern_regex_partial(handle, base($0), $0.count) }
        }
        return tern_regex_partial(handle, base(text), text.count)
    }

    /// Offsets of the next match at or after `start`: pairs of start and end per group, group 0
    /// first, (-1, -1) for a group that took no part. Nil when there is no match.
    package func captures(
        _ text: UnsafeRawBufferPointer, from start: Int = 0, anchored: Bool = false
    ) -> [Int]? {
        var spans = [Int](repeating: -1, count: 2 * (groupCount + 1))
        let found = spans.withUnsafeMutableBufferPointer { out -> Bool in
            guard let outBase = out.baseAddress else { return false }
            // RE2 marks absent groups by a null pointer, so even empty text needs an address.
            return withUnsafePointer(to: UInt8(0)) { empty in
                tern_regex_captures(
                    handle, base(text) ?? empty, text.count, start, anchored,
                    CInt(groupCount + 1), outBase)
            }
        }
        return found ? spans : nil
    }

    /// Names of groups 1… in order; an empty string for an unnamed one.
    package func groupNames() -> [String] {
        (0..<groupCount).map { index in
            String(unsafeUninitializedCapacity: 256) { buffer in
                buffer.withMemoryRebound(to: CChar.self) { chars in
                    guard let out = chars.baseAddress else { return 0 }
                    return tern_regex_group_name(handle, CInt(index + 1), out, chars.count)
                }
            }
        }
    }
}

extension RegularExpression {
    /// Whether the whole text matches.
    package func matchesWhole(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matchesWhole(UnsafeRawBufferPointer($0)) }
    }
    /// Whether the pattern occurs anywhere in the text.
    package func matchesAnywhere(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matchesAnywhere(UnsafeRawBufferPointer($0)) }
    }
}
