// SPDX-License-Identifier: Apache-2.0
// What a body of lines became.

import Base
import Telemetry

/// The lines of a push in columns, with what was wrong in some of them. Good lines are in the
/// batch whatever the others hold.
package struct LineBatch: Sendable {
    package var batch = MetricBatch()
    /// Lines of which nothing is in the batch.
    package private(set) var rejectedLines = 0
    /// Field values that are text, which no series can hold.
    package var skippedTexts = 0
    /// The first `maxProblems` reasons, each with its line.
    package private(set) var problems: [(line: Int, message: String)] = []

    package static let maxProblems = 16

    package init() {}

    mutating func reject(line: Int, _ message: @autoclosure () -> String) {
        rejectedLines += 1
        if problems.count < LineBatch.maxProblems { problems.append((line, message())) }
    }

    /// The reasons as one text; empty when nothing was rejected.
    package var message: String {
        problems.map { "line \($0.line): \($0.message)" }.joined(separator: "; ")
    }
}

/// Why a line was not taken.
struct LineProblem: Error {
    var message: String
    init(_ message: String) { self.message = message }
}

/// Adds samples of labelled series to a batch, within the limits of a request.
struct LineCollector: ~Copyable {
    var result = LineBatch()
    var labels: LabelCheck
    private var head = LabelSetBuffer(capacity: 256)
    private var series = LabelSetBuffer(capacity: 1024)
    private let maxArenaBytes: Int
    private let maxPoints: Int
    private let nameBytes: Int

    init(limits: MetricDecodingLimits, bodyBytes: Int) {
        labels = LabelCheck(limits: limits)
        maxArenaBytes = min(limits.arenaBytes > 0 ? limits.arenaBytes : .max, 2 << 30)
        maxPoints = limits.points > 0 ? limits.points : .max
        nameBytes = limits.labelValueBytes > 0 ? limits.labelValueBytes : .max
        result.batch.arena.reserveCapacity(bodyBytes)
    }

    /// Puts the labels that `labels` holds in order.
    mutating func sealLabels() throws(LineProblem) {
        if let problem = labels.seal(requireName: false) { throw LineProblem(problem.message) }
    }

    /// Throws when `samples` more of series with the sealed labels exceed what a request may hold.
    func checkRoom(_ samples: Int) throws(LineProblem) {
        let each = labels.buffer.count + 64
        guard result.batch.series.count + samples <= maxPoints,
            samples <= (maxArenaBytes - min(maxArenaBytes, result.batch.arena.count)) / each
        else { throw LineProblem("the request holds too many samples; send smaller requests") }
    }

    /// Adds a sample of the series that has `name` and the sealed labels; returns why not.
    mutating func add(
        _ name: UnsafeRawBufferPointer, millis: Int64, value: Double
    ) -> LineProblem? {
        guard !name.isEmpty else { return LineProblem("metric without a name") }
        guard name.count <= nameBytes, isValidUTF8(name) else {
            return LineProblem("metric name that is too long or not valid UTF-8")
        }
        guard result.batch.arena.count < maxArenaBytes else {
            return LineProblem("the request holds too many samples; send smaller requests")
        }
        head.reset()
        head.append("__name__", name)
        // Of equal names the first counts: a tag called __name__ names nothing.
        series.merge(head, labels.buffer)
        let index = UInt32(truncatingIfNeeded: result.batch.series.count)
        result.batch.series.append(series.keep(in: &result.batch.arena))
        result.batch.addSample(series: index, millis: millis, value: value)
        return nil
    }

    consuming func finish() -> LineBatch { result }
}

/// Reason for a text that is no number, shortened.
func notANumber(_ text: UnsafeRawBufferPointer) -> String {
    "\(quotedText(String(decoding: text.prefix(64), as: UTF8.self))) is not a number"
}
