// SPDX-License-Identifier: Apache-2.0
// What is wrong with a query's text, and where.

import Base

/// A range of byte offsets in the text of a query, end exclusive.
package struct SourceRange: Sendable, Hashable {
    package var start: Int
    package var end: Int
    package init(_ start: Int, _ end: Int) {
        self.start = start
        self.end = end
    }

    /// `line:column` of the start, both from 1, the column counted in bytes.
    package func position(in text: String) -> String {
        let bytes = Array(text.utf8)
        if bytes.isEmpty { return "unknown position" }
        guard start >= 0, start <= bytes.count else { return "invalid position" }
        var line = 1
        var lastBreak = -1
        for (index, byte) in bytes[..<start].enumerated() where byte == UInt8(ascii: "\n") {
            lastBreak = index
            line += 1
        }
        return "\(line):\(start - lastBreak)"
    }
}

/// One fault in a query's text.
package struct ParseFault: Error, Sendable, Equatable {
    package var range: SourceRange
    package var message: String
    package init(_ range: SourceRange, _ message: String) {
        self.range = range
        self.message = message
    }
}

/// Why a query's text was refused. Its description is the first fault, as Prometheus shows it.
package struct ParseError: Error, Sendable, Equatable, CustomStringConvertible {
    package var faults: [ParseFault]
    package var query: String
    package init(_ faults: [ParseFault], query: String) {
        self.faults = faults
        self.query = query
    }
    package var description: String {
        guard let fault = faults.first else { return "parse error" }
        return "\(fault.range.position(in: query)): parse error: \(fault.message)"
    }
}
