// SPDX-License-Identifier: Apache-2.0
// Spans or log lines as rows of attributes.

/// Where an attribute belongs.
package enum AttributeOrigin: String, Sendable, Hashable {
    /// Of spans.
    case resource, span, intrinsic
    /// Of log lines.
    case label, metadata, parsed
}

/// Rows of one side of a comparison, by attribute.
package struct AttributeRows: Sendable {
    package struct Key: Hashable, Sendable {
        package var origin: AttributeOrigin
        package var name: String
        package init(_ origin: AttributeOrigin, _ name: String) {
            self.origin = origin
            self.name = name
        }
    }

    /// Most attributes, and most values of one. What comes beyond is not compared and noted.
    static let keyLimit = 2000
    static let valueLimit = 10_000

    private(set) package var rowCount = 0
    /// Rows that have a value, in ascending order.
    private(set) var values: [Key: [String: [Int32]]] = [:]
    private(set) var numbers: [Key: [Double]] = [:]
    private var distinct: [Key: Int] = [:]
    private(set) package var isCut = false

    package init() {}

    /// Adds a row. Of an attribute that comes twice in it the first one counts.
    package mutating func add(_ attributes: [(key: Key, value: String)]) {
        let row = Int32(rowCount)
        rowCount += 1
        for (key, value) in attributes {
            if values[key] == nil, values.count >= AttributeRows.keyLimit {
                isCut = true
                continue
            }
            if values[key]?[value] == nil {
                if distinct[key, default: 0] >= AttributeRows.valueLimit {
                    isCut = true
                    // Numbers are compared as a whole, whatever their values.
                    if let number = Double(value), number.isFinite {
                        numbers[key, default: []].append(number)
                    }
                    continue
                }
                distinct[key, default: 0] += 1
            }
            guard values[key]?[value]?.last != row else { continue }
            values[key, default: [:]][value, default: []].append(row)
            if let number = Double(value), number.isFinite {
                numbers[key, default: []].append(number)
            }
        }
    }
}
