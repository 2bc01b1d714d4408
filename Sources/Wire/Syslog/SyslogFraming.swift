// SPDX-License-Identifier: Apache-2.0
// Where syslog messages end in a stream of bytes.

import Base

/// Splits a TCP stream into messages: counted octets where a number and `<` stand at the start of
/// one, else up to a line end or NUL. Both may occur in one stream. Source: RFC 6587, 3.4.
package enum SyslogFraming {
    package enum Step: Equatable {
        /// A message, and where the next begins.
        case message(Range<Int>, next: Int)
        /// More bytes are needed.
        case incomplete
        /// Announced with more bytes than a message may have.
        case tooLong
    }

    /// The message that begins at `start`.
    ///
    /// - Parameters:
    ///   - isAtEnd: whether no bytes follow, so that the last message may lack its end.
    ///   - limit: bytes a message may have.
    package static func next(
        in bytes: UnsafeRawBufferPointer, from start: Int, isAtEnd: Bool, limit: Int
    ) -> Step {
        var start = start
        while start < bytes.count, isTrailer(bytes[start]) { start += 1 }
        guard start < bytes.count else { return .incomplete }
        switch count(in: bytes, from: start) {
        case .counted(let body, let count):
            guard count <= limit else { return .tooLong }
            if body + count <= bytes.count {
                return .message(body..<(body + count), next: body + count)
            }
            return isAtEnd ? .message(body..<bytes.count, next: bytes.count) : .incomplete
        case .undecided where !isAtEnd: return .incomplete
        case .undecided, .none: break
        }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        let length = findEither(0x0a, 0, in: rest)
        guard length <= limit else { return .tooLong }
        if length < rest.count {
            return .message(start..<(start + length), next: start + length + 1)
        }
        return isAtEnd ? .message(start..<bytes.count, next: bytes.count) : .incomplete
    }

    private enum Count {
        case counted(body: Int, count: Int)
        case none
        case undecided
    }

    /// `MSG-LEN SP <`; text lines may begin with a number too, but no message without its PRI is
    /// sent with a count.
    private static func count(in bytes: UnsafeRawBufferPointer, from start: Int) -> Count {
        guard bytes[start] &- UInt8(ascii: "1") < 9 else { return .none }
        var value = 0
        for i in start..<min(bytes.count, start + 10) {
            let digit = bytes[i] &- UInt8(ascii: "0")
            if digit < 10 {
                value = value * 10 + Int(digit)
                continue
            }
            guard bytes[i] == 0x20 else { return .none }
            guard i + 1 < bytes.count else { return .undecided }
            return bytes[i + 1] == UInt8(ascii: "<") ? .counted(body: i + 1, count: value) : .none
        }
        return bytes.count < start + 10 ? .undecided : .none
    }

    private static func isTrailer(_ byte: UInt8) -> Bool {
        byte == 0x0a || byte == 0x0d || byte == 0
    }
}
