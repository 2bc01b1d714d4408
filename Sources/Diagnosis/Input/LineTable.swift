// SPDX-License-Identifier: Apache-2.0
// Log lines as statements of a program.

import Correlation
import Telemetry

/// A statement that writes log lines: known by its place in the code, else by what its lines have in
/// common.
struct LogStatement: Sendable {
    var service: Int32
    var site: CodeLocation?
    /// The common words; numbers and ids are `<*>`.
    var template: String
    /// Whether its lines are errors.
    var isError: Bool
    /// A piece of text that all its lines have and few others.
    var literal: String
    /// Labels of the first stream that it came in.
    var stream: Labels
    /// Lines in each stretch.
    var counts = PerStretch(repeating: 0)
    /// Lines in the second half of the window.
    var lateCount = 0
}

/// Log lines that belong to spans, and how often each statement wrote.
struct LineTable: Sendable {
    var statements: [LogStatement] = []

    // Lines of known spans, one entry per line in each column.
    var spans: [Int32] = []
    var statementOf: [Int32] = []
    var nanos: [Int64] = []
    /// Of error lines the sort of their message, equal for equal ones of other services; else -1.
    var failures: [Int32] = []

    /// Lines by service and stretch, with and without a span.
    var lineCounts: [Int32: PerStretch<Int>] = [:]
    /// Lines by service in the second half of the window.
    var lateLineCounts: [Int32: Int] = [:]
    /// Of all, lines with a trace id.
    var tracedCounts: [Int32: PerStretch<Int>] = [:]

    /// Statements of each span in the order of their lines; spans without lines have none. O(n log n).
    func statementsBySpan(count: Int) -> [[Int32]] {
        var result = [[Int32]](repeating: [], count: count)
        let order = nanos.indices.sorted { (nanos[$0], $0) < (nanos[$1], $1) }
        for line in order { result[Int(spans[line])].append(statementOf[line]) }
        return result
    }
}
