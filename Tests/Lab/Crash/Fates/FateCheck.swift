// SPDX-License-Identifier: Apache-2.0
// Judging what is left of series that do not stay.

import Base
import Telemetry
import TestKit

/// What a check of one fate found.
struct FateVerdict: Sendable {
    /// Samples that should be there and are not; of `coarse`, by the counts of buckets.
    var lost = 0
    /// Samples that were never sent, changed, or there twice; buckets with other figures.
    var phantom = 0
    /// Batches, or their deletions, of which a part happened.
    var torn = 0
    /// Deleted samples that are there.
    var revived = 0
    /// Samples that should be there and are.
    var present = 0
    /// Samples that are gone as they should be, or may.
    var gone = 0

    var isSound: Bool { lost == 0 && phantom == 0 && torn == 0 && revived == 0 }

    mutating func add(_ other: FateVerdict) {
        lost += other.lost
        phantom += other.phantom
        torn += other.torn
        revived += other.revived
        present += other.present
        gone += other.gone
    }
}

extension FateVerdict {
    /// Judges a batch by how many of its items are there.
    ///
    /// - Parameters:
    ///   - a: of those that a deletion names, out of `half`.
    ///   - b: of the others, out of `half`.
    mutating func judge(
        _ a: Int, _ b: Int, of half: Int, isAcknowledged: Bool, mayExpire: Bool,
        _ deletion: FateLedger.Deletion, _ note: (String) -> Void
    ) {
        func judge(_ count: Int) {
            if count == half {
                present += count
            } else if count == 0, mayExpire || !isAcknowledged {
                gone += half
            } else {
                if isAcknowledged, !mayExpire { lost += half - count } else { torn += 1 }
                note("has \(count) of \(half)")
            }
        }
        judge(b)
        switch deletion {
        case .none:
            judge(a)
            if !isAcknowledged, a != b { torn += 1 }
        case .asked:
            if a != 0, a != half { torn += 1 }
            if a == 0 { gone += half } else { present += a }
        case .done:
            revived += a
            gone += half - a
            if a > 0 { note("has \(a) deleted items again") }
        }
    }
}

/// Reads the fates back from a server.
struct FateCheck: Sendable {
    let run: FateRun
    let client: LabClient

    /// Judges everything.
    ///
    /// - Parameter isRaw: of a server without the rules that make fates, which has all of it.
    func check(isRaw: Bool, _ note: (String) -> Void) async throws -> [FateVerdict] {
        var verdicts: [FateVerdict] = []
        for fate in Fate.allCases {
            var verdict = FateVerdict()
            if fate == .coarse, !isRaw {
                try await checkBuckets(&verdict, note)
            } else {
                try await checkSamples(fate, isRaw: isRaw, &verdict, note)
            }
            if !verdict.isSound { note("\(fate): \(verdict)") }
            verdicts.append(verdict)
        }
        return verdicts
    }

    // MARK: - Samples

    private func checkSamples(
        _ fate: Fate, isRaw: Bool, _ verdict: inout FateVerdict, _ note: (String) -> Void
    ) async throws {
        let shape = run[fate]
        // What is sent while the answer is made is none of this check's business: nothing is.
        let ledger = run.ledger(fate)
        guard ledger.batches.end > 0 else { return }
        var batchByMillis: [Int64: Int] = [:]
        if fate == .short {
            for (batch, millis) in ledger.millis.enumerated() { batchByMillis[millis] = batch }
        }
        var places: [Labels: Int] = [:]
        for (i, labels) in shape.series.enumerated() { places[labels] = i }
        /// Found per batch, by kind.
        var found = [[Int]](
            repeating: [Int](repeating: 0, count: ledger.batches.end), count: 2)
        let first = ledger.millis[0] - 60_000
        let range =
            fate == .short
            ? first...(SystemClock().wallNanos / 1_000_000 + 60_000)
            : shape.millis(
                step: 0)...shape.millis(
                    step: ledger.batches.end * shape.stepsPerBatch + 100)
        let answer = try await RawSeries.read(fate.metric, millis: range, client)
        let now = SystemClock().wallNanos / 1_000_000
        for one in answer {
            var before = Int64.min
            for point in one.points {
                let step =
                    fate == .short
                    ? batchByMillis[point.millis] : shape.step(millis: point.millis)
                guard let series = places[one.labels], let step, point.millis != before,
                    step / shape.stepsPerBatch < ledger.batches.end,
                    point.value == shape.value(series: series, step: step)
                else {
                    verdict.phantom += 1
                    note("\(fate): sample \(point) of \(one.labels) was never sent")
                    continue
                }
                before = point.millis
                found[series % 2][step / shape.stepsPerBatch] += 1
            }
        }
        let half = shape.batchSamples / 2
        for batch in 0..<ledger.batches.end {
            let (a, b) = (found[0][batch], found[1][batch])
            let isAcknowledged = ledger.batches[batch] == .acknowledged
            let deletion = isRaw ? FateLedger.Deletion.none : ledger.deletions[batch]
            let mayExpire =
                fate == .short && !isRaw && ledger.millis[batch] + FateShape.shortMillis <= now
            verdict.judge(
                a, b, of: half, isAcknowledged: isAcknowledged, mayExpire: mayExpire, deletion
            ) { note("\(fate) batch \(batch) \($0)") }
        }
    }

    // MARK: - Buckets

    /// Compares figures of buckets with those of what was acknowledged. Which days are down-sampled
    /// already matters for what was sent again only: a day that was down-sampled in between counts
    /// it once more, which docs/decisions/0013 names as the price of taking late samples.
    private func checkBuckets(
        _ verdict: inout FateVerdict, _ note: (String) -> Void
    ) async throws {
        let shape = run[.coarse]
        let ledger = run.ledger(.coarse)
        let end = ledger.batches.end * shape.stepsPerBatch
        guard end > 0 else { return }
        guard ledger.unanswered.isEmpty else { throw LabError("batches without an answer") }
        let origin = shape.startMillis / FateShape.day * FateShape.day
        let last = shape.millis(step: end - 1)
        // Four days back, buckets are an hour long.
        let fine = origin + 3 * FateShape.day
        try await compare(
            shape, ledger.repeats, FateShape.hour, origin...last, &verdict, note)
        if last > fine {
            try await compare(
                shape, ledger.repeats, FateShape.fiveMinutes, fine...last, &verdict, note)
        }
    }

    private struct Figures {
        var count = 0.0
        var sum = 0.0
        var min = Double.infinity
        var max = -Double.infinity
        var last = 0.0
        /// What samples that were sent again may add.
        var repeatedCount = 0.0
        var repeatedSum = 0.0

        /// How far a figure may lie above the one that is expected.
        func slack(_ path: KeyPath<Figures, Double>) -> Double {
            path == \.count ? repeatedCount : path == \.sum ? repeatedSum : 0
        }
    }

    /// - Parameters:
    ///   - repeats: how often each batch was sent again.
    ///   - range: from the beginning of a window to the last sample.
    private func compare(
        _ shape: FateShape, _ repeats: [Int], _ length: Int64, _ range: ClosedRange<Int64>,
        _ verdict: inout FateVerdict, _ note: (String) -> Void
    ) async throws {
        let windows = Int((range.upperBound - range.lowerBound) / length) + 1
        var expected = [[Figures]](
            repeating: [Figures](repeating: Figures(), count: windows), count: shape.series.count)
        for step in 0..<repeats.count * shape.stepsPerBatch {
            let millis = shape.millis(step: step)
            let times = Double(repeats[step / shape.stepsPerBatch])
            guard millis >= range.lowerBound else { continue }
            let window = Int((millis - range.lowerBound) / length)
            for series in shape.series.indices {
                let value = shape.value(series: series, step: step)
                expected[series][window].count += 1
                expected[series][window].sum += value
                expected[series][window].min = min(expected[series][window].min, value)
                expected[series][window].max = max(expected[series][window].max, value)
                expected[series][window].last = value
                expected[series][window].repeatedCount += times
                expected[series][window].repeatedSum += times * value
            }
        }
        let figures: [(name: String, path: KeyPath<Figures, Double>)] = [
            ("count", \.count), ("sum", \.sum), ("min", \.min), ("max", \.max), ("last", \.last),
        ]
        for (name, path) in figures {
            // `number` alone tells the series apart once the function has dropped the name.
            let answer = try await RawSeries.evaluate(
                "sum by (number) (\(name)_over_time(\(Fate.coarse.metric)[\(length)ms]))",
                millis: (range.lowerBound + length)...(range.lowerBound + Int64(windows) * length),
                stepMillis: length, client)
            var found = [[Double?]](
                repeating: [Double?](repeating: nil, count: windows), count: shape.series.count)
            for one in answer {
                guard let text = one.labels["number"], let series = Int(text),
                    shape.series.indices.contains(series)
                else { throw LabError("an answer has the labels \(one.labels)") }
                for point in one.points {
                    found[series][Int((point.millis - range.lowerBound) / length) - 1] =
                        point.value
                }
            }
            for series in shape.series.indices {
                for window in 0..<windows {
                    let right = expected[series][window][keyPath: path]
                    let value = found[series][window]
                    if expected[series][window].count == 0, value == nil { continue }
                    let slack = expected[series][window].slack(path)
                    if let value, value >= right, value <= right + slack {
                        // Those of five minutes are among those of an hour.
                        if name == "count", length == FateShape.hour {
                            verdict.present += Int(right)
                        }
                        continue
                    }
                    if name == "count", value ?? 0 < right {
                        verdict.lost += Int(right - (value ?? 0))
                    } else {
                        verdict.phantom += 1
                    }
                    note(
                        "\(name) of \(length / 60_000) minutes to "
                            + secondsText(range.lowerBound + Int64(window + 1) * length)
                            + " of series \(series) is \(value.map { "\($0)" } ?? "nothing"), "
                            + "not \(right)")
                }
            }
        }
    }
}
