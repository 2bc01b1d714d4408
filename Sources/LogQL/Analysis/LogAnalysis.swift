// SPDX-License-Identifier: Apache-2.0
// The analytics pipe: Tern's extension of LogQL.

import Base

/// What is made of the lines of a log query: `{…} | logfmt | stats avg(took) by (path) | sort by
/// (avg_took desc) | limit 5`.
///
/// Not in Loki. The words are no keywords: each was a syntax error in its place before, so every
/// query of Loki means what it means there.
package struct LogAnalysis: Sendable {
    package enum Operation: Sendable {
        /// Numbers over lines that share labels, perhaps in buckets of time.
        case stats([StatsFunction], by: [String], everyNanos: Int64?)
        /// The label sets with most lines.
        case top(by: [String])
        /// The most frequent values of each label.
        case facets(values: Int)
        /// The label sets that occur, with their number of lines.
        case uniq(by: [String])
        /// The lines themselves, in the order of `sort`.
        case lines
        /// The lines with their neighbours in the stream.
        case context(before: Int, after: Int)
    }

    package struct SortKey: Sendable, Equatable {
        package var name: String
        package var isDescending: Bool
    }

    package var selector: LogSelector
    package var operation: Operation
    package var sort: [SortKey] = []
    /// Rows or lines of the answer at most; nil = all rows, or as many lines as the request says.
    package var limit: Int?

    /// Most neighbours on one side of a line.
    package static let maxContext = 1000
    /// Most values that `facets` shows of a label.
    package static let maxFacetValues = 1000
    package static let defaultRows = 10
}

/// A value that a label holds, as a number.
package struct StatsValue: Sendable, Equatable {
    package var label: String
    /// nil: a plain number, else a duration in seconds, else a size in bytes.
    package var conversion: UnwrapSyntax.Conversion?

    var text: String { conversion.map { "\($0.rawValue)(\(label))" } ?? label }
}

/// One column of `stats`.
package struct StatsFunction: Sendable, Equatable {
    package enum Operation: String, Sendable, CaseIterable {
        case count, bytes, sum, avg, min, max, median, quantile, stddev, stdvar, first, last
        case countUnique = "count_uniq"
    }
    package var operation: Operation
    /// Of `quantile`, in 0…1.
    package var parameter = 0.0
    /// nil for functions of the line.
    package var value: StatsValue?
    package var name: String

    /// The column's name where the query gives none.
    static func defaultName(
        _ operation: Operation, _ parameter: Double, _ value: StatsValue?
    ) -> String {
        var name = operation.rawValue
        if operation == .quantile {
            // 0.99 is p99, 0.999 is p99_9.
            let digits = floatPlainText((parameter * 100_000).rounded() / 1000)
            name = "p" + digits.replacing(".", with: "_")
        }
        return value.map { name + "_" + $0.label } ?? name
    }
}

extension LogAnalysis: CustomStringConvertible {
    package var description: String {
        func list(_ names: [String]) -> String { " by (" + names.joined(separator: ", ") + ")" }
        var text = selector.description
        var showsSort = !sort.isEmpty
        var limit = limit
        switch operation {
        case .stats(let functions, let names, let everyNanos):
            text += " | stats " + functions.map(\.description).joined(separator: ", ")
            if !names.isEmpty { text += list(names) }
            if let everyNanos { text += " every " + goDurationText(nanos: everyNanos) }
        case .top(let names):
            text += " | top \(limit ?? LogAnalysis.defaultRows)" + list(names)
            showsSort = false
            limit = nil
        case .facets(let values): text += " | facets \(values)"
        case .uniq(let names): text += " | uniq" + list(names)
        case .lines: break
        case .context(let before, let after): text += " | context before \(before) after \(after)"
        }
        if showsSort {
            let keys = sort.map { $0.name + ($0.isDescending ? " desc" : "") }
            text += " | sort" + list(keys)
        }
        if let limit { text += " | limit \(limit)" }
        return text
    }
}

extension StatsFunction: CustomStringConvertible {
    package var description: String {
        var arguments = value.map { [$0.text] } ?? []
        if operation == .quantile { arguments.insert(floatPlainText(parameter), at: 0) }
        let call = operation.rawValue + "(" + arguments.joined(separator: ", ") + ")"
        let isDefault = name == StatsFunction.defaultName(operation, parameter, value)
        return isDefault ? call : call + " as " + name
    }
}
