// SPDX-License-Identifier: Apache-2.0
// What the values of a field look like.

import Base

/// Type of a detected field, as Loki names it.
package enum FieldType: String, Sendable {
    case int, float, boolean, duration, bytes, string

    /// The first of these that a text is, in the order in which Loki tries them.
    init(of text: String) {
        if Int64(text) != nil {
            self = .int
        } else if parseFloat(text) != nil {
            self = .float
        } else if ["true", "false", "True", "False", "TRUE", "FALSE", "t", "f", "T", "F"]
            .contains(text)
        {
            self = .boolean
        } else if (try? parseGoDuration(text)) != nil {
            self = .duration
        } else if ByteSize.parse(text) != nil {
            self = .bytes
        } else {
            self = .string
        }
    }

    /// What values of both types have in common.
    func joined(_ other: FieldType) -> FieldType {
        if self == other { return self }
        let both: Set = [self, other]
        return both == [.int, .float] ? .float : .string
    }
}
