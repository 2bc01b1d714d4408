// SPDX-License-Identifier: Apache-2.0
// What rules need of the world.

import Base
import Ingest
import PromQL
import Synchronization
import Telemetry

/// One element of an expression's result, or a sample to write.
package struct RuleSample: Sendable, Equatable {
    package var labels: Labels
    package var value: SampleValue
    package init(labels: Labels, value: SampleValue) {
        self.labels = labels
        self.value = value
    }
}

/// The newest sample of a series.
package struct NewestSample: Sendable {
    package var labels: Labels
    package var millis: Int64
    package var value: Double
    package init(labels: Labels, millis: Int64, value: Double) {
        self.labels = labels
        self.millis = millis
        self.value = value
    }
}

/// An expression whose result cannot become samples.
package struct RuleQueryError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Answers queries, on a thread where they may run.
package protocol RuleQuerying {
    /// - Parameter windowMillis: over how long a trace query looks; others say it themselves.
    func query(
        _ text: String, _ language: RuleLanguage, atNanos nanos: Int64, windowMillis: Int64
    ) throws -> [RuleSample]
    /// The results at `start`, `start + step`, … up to `end`.
    func queryRange(
        _ text: String, _ language: RuleLanguage, startMillis: Int64, endMillis: Int64,
        stepMillis: Int64
    ) throws -> [MatrixSeries]
    /// The newest float of each selected series in a stretch of time, stale markers included.
    func newest(_ matchers: [LabelMatcher], in range: MillisRange) throws -> [NewestSample]
}

/// Gives queries a thread, a deadline and a budget.
package protocol RuleQueries: Sendable {
    /// - Parameter tenant: whose data the queries see.
    func run<T: Sendable>(
        as tenant: Tenant, _ work: @escaping @Sendable (any RuleQuerying) throws -> T
    ) async throws -> T
}

/// Takes what rules write. What is refused is reported, the rest is durable on return.
package protocol RuleSink: Sendable {
    func write(
        metrics batch: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport
}

extension IngestPipeline: RuleSink {}

/// Takes alerts that shall be sent.
package protocol AlertReceiving: Sendable {
    func receive(_ alerts: [OutgoingAlert])
}

/// Everything around the groups of a server. Times in milliseconds.
package struct RuleEnvironment: Sendable {
    package var queries: any RuleQueries
    package var sink: any RuleSink
    package var receiver: (any AlertReceiving)?
    /// Finds suspects for the alerts that ask for them; nil = nobody does.
    package var diagnosing: (any AlertDiagnosing)?
    package var clock: any Clock
    package var surroundings = AlertTemplate.Surroundings()
    /// Least time between two sends of an alert that goes on.
    package var resendDelayMillis: Int64 = 60_000
    /// Longest outage after which `for` is taken up again.
    package var outageToleranceMillis: Int64 = 3_600_000
    /// Least time between taking it up and firing.
    package var gracePeriodMillis: Int64 = 600_000
    /// Bounds what rules of all groups evaluate beside the first of each group.
    package var slots: EvaluationSlots
    package var durations = RuleDurations()
    /// Told what goes wrong.
    package var report: @Sendable (String) -> Void

    package init(
        queries: any RuleQueries, sink: any RuleSink, clock: any Clock,
        receiver: (any AlertReceiving)? = nil, slots: EvaluationSlots = EvaluationSlots(4),
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.queries = queries
        self.sink = sink
        self.clock = clock
        self.receiver = receiver
        self.slots = slots
        self.report = report
    }
}

/// How many rules may be evaluated at once beyond one per group.
package final class EvaluationSlots: Sendable {
    private let free: Mutex<Int>
    /// - Parameter count: with 0 every group goes rule by rule.
    package init(_ count: Int) { free = Mutex(max(0, count)) }

    func take() -> Bool {
        free.withLock { free in
            if free > 0 { free -= 1 } else { return false }
            return true
        }
    }
    func give() { free.withLock { $0 += 1 } }
}
