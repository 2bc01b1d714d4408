// SPDX-License-Identifier: Apache-2.0
// How long queries go on after they are cancelled.

import Base
import Glibc
import PromQL
import Telemetry

/// Cancels queries at places spread over their time, and measures how long they go on: the wall
/// clock, and the processor time of their thread, which other load on the machine does not stretch.
struct Cancellation {
    /// Places in each query at which it is cancelled.
    private static let places = 10
    private let engine: PromQLEngine
    private let pool = WorkerPool(name: "query", threads: 1, queueLimit: 1)

    init(_ engine: PromQLEngine) { self.engine = engine }

    /// Name, query and steps of 15 s before the end; 1 = an instant query.
    private static let cases: [(name: String, query: String, steps: Int64)] = {
        let cpu = "node_cpu_seconds_total"
        let patterns = (1...8).map { "wide{path=~\".*\($0).*[13579].*7.*\"}" }
        return [
            ("selection", "count(wide)", 1), ("matrix", cpu, 241),
            ("regex", "count(\(patterns.joined(separator: " or ")))", 1),
            ("subquery", "sum(max_over_time(wide[1m:1s]))", 1),
            ("rate", "sum(rate(\(cpu)[5m]))", 241), ("sort", "sort_desc(wide)", 1),
            ("sort-by-label", "sort_by_label(wide, \"path\")", 1),
            ("count-values", "count_values(\"v\", wide)", 20),
            ("join", "count(wide * on (path) wide)", 20),
            ("many-to-one", "\(cpu) * on (instance) group_left (nodename) node_uname_info", 241),
            ("set", "count(wide and on (path) wide)", 20),
            ("fill", "count(wide + on (path) fill (1) wide{zone=~\"z[123]\"})", 20),
            ("topk", "count(topk(200, \(cpu)))", 241),
            ("quantile", "quantile(0.9, \(cpu))", 241), ("info", "count(info(\(cpu)))", 241),
            ("label-replace", "count(label_replace(wide, \"a\", \"$1\", \"path\", \"(.*)\"))", 1),
            (
                "histogram-quantile",
                "histogram_quantile(0.9, rate(request_duration_seconds_bucket[5m]))", 241
            ),
            ("long-windows", "sum(stddev_over_time(\(cpu){cpu=\"0\"}[3h]))", 241),
            (
                "huge-windows",
                "quantile_over_time(0.5, sum(\(cpu){cpu=\"0\",mode=\"idle\"})[2h:100ms])", 60
            ),
            ("many-steps", "sum_over_time(sum(node_uname_info)[3h:10ms])", 20),
        ]
    }()

    /// What a query did: times in seconds.
    private struct Run: Sendable {
        var clock: clockid_t?
        var endWall: Double?
        var endThread = 0.0
        var isCancelled = false
    }

    func report(_ wanted: [String]) throws {
        print("times in ms, the greatest of \(Cancellation.places) places in each query")
        print(
            padded("case", 20)
                + ["whole", "ends after", "cpu after", "places"].map { padded($0, 12) }.joined())
        for one in Cancellation.cases
        where wanted.isEmpty || wanted.contains(where: one.name.hasPrefix) {
            let whole = try measured(one.query, one.steps, after: nil)
            var latest = (wall: 0.0, cpu: 0.0)
            var met = 0
            for place in 0..<Cancellation.places {
                let share = (Double(place) + 0.5) / Double(Cancellation.places)
                let after = try measured(one.query, one.steps, after: whole.wall * share)
                if !after.isCancelled { continue }
                met += 1
                latest = (max(latest.wall, after.wall), max(latest.cpu, after.cpu))
            }
            print(
                padded(one.name, 20)
                    + [millis(whole.wall), millis(latest.wall), millis(latest.cpu), "\(met)"]
                    .map { padded($0, 12) }.joined())
        }
        pool.stop()
    }

    /// Runs a query, cancelled after some seconds; the times are those after that, or of the whole.
    private func measured(
        _ query: String, _ steps: Int64, after delay: Double?
    ) throws -> (wall: Double, cpu: Double, isCancelled: Bool) {
        let engine = engine
        let run = Monitor(Run())
        let context = ReadContext()
        let taken = pool.offer {
            var clock = clockid_t()
            pthread_getcpuclockid(pthread_self(), &clock)
            run.change { $0.clock = clock }
            var isCancelled = false
            do {
                _ = try engine.queryRange(
                    query, start: Millis(Fleet.end - (steps - 1) * 15_000),
                    end: Millis(Fleet.end), stepMillis: 15_000, context: context)
            } catch QueryInterruption.cancelled {
                isCancelled = true
            } catch {
                print("\(query): \(error)")
            }
            run.change { state in
                state.isCancelled = isCancelled
                state.endThread = seconds(CLOCK_THREAD_CPUTIME_ID)
                state.endWall = seconds(CLOCK_MONOTONIC)
            }
        }
        guard taken else { throw QueryInterruption.cancelled }
        let clock = run.wait { $0.clock }
        if let delay { usleep(UInt32(delay * 1e6)) }
        let thread = seconds(clock), wall = seconds(CLOCK_MONOTONIC)
        if delay != nil { context.cancel() }
        let end = run.wait { $0.endWall == nil ? nil : $0 }
        // The pool's thread is free a moment later.
        usleep(1000)
        return ((end.endWall ?? wall) - wall, end.endThread - thread, end.isCancelled)
    }

    private func millis(_ seconds: Double) -> String { "\((seconds * 1e4).rounded() / 10)" }
}
