// SPDX-License-Identifier: Apache-2.0
// How well faults are found.

import Base
import Diagnosis
import Glibc
import Telemetry
import TestKit

/// Every fault of `corpora/incidents` goes into stores of its own, on the way it takes in the server,
/// and is diagnosed from nothing but the time from it to the end of its last minute and the day's fault-free minute. So
/// are the minutes before the faults, and the fault-free minute against them: of these nothing should
/// show, though many of the former lie in a fault's aftermath or see the next one being prepared.
///
/// `BENCH_DAY` and `BENCH_FAULT` (a piece of an id) narrow it; `BENCH_SHOW` is the number of suspects
/// that are printed (0). `BENCH_WINDOW=files` takes what the second and third file hold as the window,
/// which begins up to a minute before the fault and ends with the file. `BENCH_TOGETHER=1` puts all faults of
/// a day into one store and asks about all of them at once, to see what that costs.
@main
struct Main {
    static func main() async throws {
        let only = text("BENCH_FAULT") ?? ""
        let show = text("BENCH_SHOW").flatMap { Int($0) } ?? 0
        var outcomes: [Outcome] = []
        var quiet: [Quiet] = [], unharmed: [Quiet] = []
        var halves: [Double] = [], metricsAlone: [Double] = []
        for day in ["2023-01-29", "2023-01-30"] where text("BENCH_DAY").map({ $0 == day }) ?? true {
            let (faults, minute) = try Fault.all(of: day)
            let normal = try Recording(day: day, name: "normal")
            if text("BENCH_TOGETHER") != nil {
                try await together(day, faults, normal, minute)
                continue
            }
            if only.isEmpty {
                halves += try await QuietWindows.halves(normal, minute)
                metricsAlone += try await QuietWindows.metrics(day)
            }
            for fault in faults where only.isEmpty || fault.id.contains(only) {
                let own = try Recording(day: day, name: fault.id)
                let answers = try await diagnose(fault, own, normal, minute)
                let outcome = Outcome(fault, answers.fault)
                outcomes.append(outcome)
                quiet.append(Quiet(fault, answers.before))
                unharmed.append(Quiet(fault, answers.normal))
                if show > 0 { outcome.show(answers.fault, show) }
                if show > 0, let top = answers.before.suspects.first {
                    print("   minute before: \(score(top.score)) \(top.service) \(top.summary)")
                }
                if show > 0, let top = answers.normal.suspects.first {
                    print("   normal minute: \(score(top.score)) \(top.service) \(top.summary)")
                }
            }
        }
        if !outcomes.isEmpty { print(outcomes.table(before: quiet, normal: unharmed)) }
        for (name, scores) in [
            ("halves of the fault-free minute", halves),
            ("three minutes of metrics alone", metricsAlone),
        ] where !scores.isEmpty {
            let calm = scores.count { $0 < Suspect.incidentThreshold }
            print(
                "\(name) below \(Suspect.incidentThreshold): \(calm)/\(scores.count), highest "
                    + scores.sorted().suffix(5).map(score).joined(separator: " "))
        }
    }

    /// All faults of a day in one store and one window: what a large one costs.
    private static func together(
        _ day: String, _ faults: [Fault], _ normal: Recording, _ minute: String
    ) async throws {
        try await withTemporaryDirectory { path in
            let replay = try Replay(path: path)
            try await replay.write(normal)
            var window = NanosRange(first: .max, last: .min)
            for fault in faults {
                try await replay.write(try Recording(day: day, name: fault.id))
                let own = Recording.window(fault)
                window.first = min(window.first, own.first)
                window.last = max(window.last, own.last)
            }
            let clock = SystemClock()
            for _ in 0..<2 {
                let context = ReadContext { clock.monotonicNanos }
                let answer = try Diagnosis(replay.sources).diagnose(
                    DiagnosisRequest(
                        tenant: .anonymous, window: window, baseline: normal.range([minute])),
                    context)
                print(
                    "\(day) in one window: spans \(answer.spanCounts) lines \(answer.lineCounts), "
                        + "1/\(Int(1 / answer.traceShare)) of the traces, "
                        + "\(context.elapsedNanos / 1_000_000) ms", answer.notes)
            }
            await replay.stop()
        }
    }

    private static func diagnose(
        _ fault: Fault, _ own: Recording, _ normal: Recording, _ minute: String
    ) async throws -> (fault: DiagnosisAnswer, before: DiagnosisAnswer, normal: DiagnosisAnswer) {
        try await withTemporaryDirectory { path in
            let replay = try Replay(path: path)
            try await replay.write(normal)
            try await replay.write(own)
            let baseline = normal.range([minute])
            let diagnosis = Diagnosis(replay.sources)
            let clock = SystemClock()
            func answer(
                _ window: NanosRange, _ baseline: NanosRange = baseline
            ) throws -> DiagnosisAnswer {
                let context = ReadContext { clock.monotonicNanos }
                var answer = try diagnosis.diagnose(
                    DiagnosisRequest(tenant: .anonymous, window: window, baseline: baseline),
                    context)
                answer.elapsedSeconds = Double(context.elapsedNanos) / 1e9
                return answer
            }
            let found = try answer(
                text("BENCH_WINDOW") == "files"
                    ? own.range(fault.minutes.dropFirst()) : Recording.window(fault))
            // The first minute ends a few seconds late.
            var before = own.range(fault.minutes.prefix(1))
            before.last = min(before.last, Nanos(fault.injectNanos))
            let quiet = try answer(before)
            let unharmed = try answer(baseline, before)
            await replay.stop()
            return (found, quiet, unharmed)
        }
    }

    private static func text(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

func score(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
}
