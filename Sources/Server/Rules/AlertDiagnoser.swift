// SPDX-License-Identifier: Apache-2.0
// The first suspect of a diagnosis as annotations of an alert.

import Base
import Correlation
import Diagnosis
import Rules
import Synchronization
import Telemetry

/// Diagnoses the time of an alert with the engine of `/api/v1/correlate/diagnose`: one alert at a
/// time, within a time limit.
final class AlertDiagnoser: AlertDiagnosing {
    /// How a diagnosis came out, for the counter.
    enum Outcome: String, Sendable, CaseIterable { case suspect, nothing, failed, timeout, busy }

    /// How long before the symptom the window begins: what a rule notices began earlier.
    static let leadNanos: Int64 = 300_000_000_000
    /// Most characters of an annotation.
    static let textLimit = 1000

    private let service: QueryService
    private let index: Correlation
    private let report: @Sendable (String) -> Void
    private let gate = QueryGate(running: 1, waiting: 64)
    private let counts = Mutex<[Outcome: Int]>([:])

    init(
        _ service: QueryService, _ index: Correlation,
        report: @escaping @Sendable (String) -> Void
    ) {
        self.service = service
        self.index = index
        self.report = report
    }

    func count(_ outcome: Outcome) -> Int { counts.withLock { $0[outcome] ?? 0 } }

    func suspects(
        for symptom: AlertSymptom, withinSeconds seconds: Double
    ) async -> [RuleText]? {
        let began = service.clock.monotonicNanos
        do throws(QueryGate.Refusal) {
            try await gate.enter(seconds: seconds)
        } catch {
            note(.busy)
            return nil
        }
        defer { gate.leave() }
        let left = seconds - Double(service.clock.monotonicNanos &- began) / 1e9
        // To the stores no time at all is no limit.
        guard left > 0 else {
            note(.busy)
            return nil
        }
        do {
            let suspect = try await firstSuspect(symptom, withinSeconds: left)
            note(suspect == nil ? .nothing : .suspect)
            return suspect.map(Self.annotations) ?? []
        } catch let error as APIError where error.kind == .timeout {
            note(.timeout)
        } catch {
            note(.failed)
            report("no suspects for alert \(symptom.labels["alertname"] ?? ""): \(error)")
        }
        return []
    }

    private func note(_ outcome: Outcome) {
        counts.withLock { $0[outcome, default: 0] += 1 }
    }

    /// The most suspicious of the service that the alert's labels name and those it calls; of all,
    /// when they name none that is known.
    private func firstSuspect(
        _ symptom: AlertSymptom, withinSeconds seconds: Double
    ) async throws -> Suspect? {
        let sources = SignalSources(
            spans: service.traces, logs: service.logs, metrics: service.metrics, index: index)
        let window = NanosRange(
            first: Nanos(max(0, symptom.sinceNanos &- Self.leadNanos)), last: Nanos(symptom.nanos))
        var request = DiagnosisRequest(tenant: symptom.tenant, window: window)
        request.limit = 1
        request.service =
            symptom.labels["service"]
            ?? index.serviceName(ofSeries: symptom.labels, tenant: symptom.tenant)
        let wanted = request
        return try await service.run(timeoutSeconds: seconds) { context in
            let diagnosis = Diagnosis(sources)
            do {
                return try diagnosis.diagnose(wanted, context).suspects.first
            } catch is UnknownScope {
                var all = wanted
                all.service = nil
                return try diagnosis.diagnose(all, context).suspects.first
            }
        }
    }

    static func annotations(_ suspect: Suspect) -> [RuleText] {
        let score = (suspect.score * 100).rounded() / 100
        return [
            RuleText("suspect", cut(suspect.service)),
            RuleText("suspect_evidence", cut(suspect.sentence)),
            RuleText("suspect_score", floatText(score)),
        ]
    }

    private static func cut(_ text: String) -> String { String(text.prefix(textLimit)) }
}

extension Suspect {
    /// The summary, with the place in the code where it does not name it.
    fileprivate var sentence: String {
        if let (from, to) = codeRange {
            let isNamed = summary.contains(from.raw) && summary.contains(to.raw)
            return isNamed ? summary : summary + " (between \(from.raw) and \(to.raw))"
        }
        guard let code, !summary.contains(code.raw) else { return summary }
        return summary + " (\(code.raw))"
    }
}
