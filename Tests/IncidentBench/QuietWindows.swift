// SPDX-License-Identifier: Apache-2.0
// Stretches without a fault beside those just before one.

import Base
import Correlation
import Diagnosis
import Telemetry
import TestKit

/// Scores of stretches in which nothing was injected.
enum QuietWindows {
    /// Of the day's fault-free minute one half against the other, both ways.
    static func halves(_ normal: Recording, _ minute: String) async throws -> [Double] {
        try await withTemporaryDirectory { path in
            let replay = try Replay(path: path)
            try await replay.write(normal)
            let whole = normal.range([minute])
            let middle = whole.first.rawValue + (whole.last.rawValue - whole.first.rawValue) / 2
            let first = NanosRange(first: whole.first, last: Nanos(middle))
            let second = NanosRange(first: Nanos(middle + 1), last: whole.last)
            let scores = try [(first, second), (second, first)].map {
                try score(replay, window: $0, baseline: $1)
            }
            await replay.stop()
            return scores
        }
    }

    /// Of metrics alone: three minutes in ten, from all that the day has outside of faults, against the
    /// three minutes before them.
    static func metrics(_ day: String) async throws -> [Double] {
        try await withTemporaryDirectory { path in
            let replay = try Replay(path: path)
            let quiet = try Recording(day: day, name: "metric-quiet")
            try await replay.write(quiet)
            let times = Set(quiet.metrics.sampleMillis.map { $0 / 60_000 })
            let length: Int64 = 3
            let starts = times.sorted().filter { start in
                start % 10 == 0
                    && (-length..<length).allSatisfy { times.contains(start + $0) }
            }
            let scores = try starts.map { start in
                let first = start * 60_000_000_000
                let window = NanosRange(
                    first: Nanos(first), last: Nanos(first + length * 60_000_000_000 - 1))
                return try score(replay, window: window, baseline: nil)
            }
            await replay.stop()
            return scores
        }
    }

    private static func score(
        _ replay: Replay, window: NanosRange, baseline: NanosRange?
    ) throws -> Double {
        let clock = SystemClock()
        let answer = try Diagnosis(replay.sources).diagnose(
            DiagnosisRequest(tenant: .anonymous, window: window, baseline: baseline),
            ReadContext { clock.monotonicNanos })
        return answer.suspects.first?.score ?? 0
    }
}
