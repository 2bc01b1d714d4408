// SPDX-License-Identifier: Apache-2.0
// One UTC day of the index, as heads hold it and parts are decoded to.

import Storage
import Telemetry

struct DayIndex: Sendable {
    /// Log lines of traces.
    var lines = LineReferences()
    var exemplars: [TraceID: [ExemplarReference]] = [:]
    var services: [String: ServiceIndex] = [:]
    var calls = CallIndex()

    /// About the bytes of memory held, lines and calls aside; grows with what is recorded.
    var byteCount = 0
    /// What the limits left out.
    var dropped = 0
    /// Earliest and latest time recorded.
    var minNanos = Int64.max
    var maxNanos = Int64.min

    /// Entries, as `PartDescriptor.rowCount` counts them.
    var entryCount: Int {
        services.count + calls.count + lines.count
            + exemplars.values.reduce(0) { $0 + $1.count }
    }

    mutating func see(_ nanos: Int64) {
        minNanos = min(minNanos, nanos)
        maxNanos = max(maxNanos, nanos)
    }

    /// Runs `body` on a service, made if need be; false when there are too many.
    @discardableResult
    mutating func withService(
        _ name: String, _ limits: CorrelationConfiguration,
        _ body: (inout ServiceIndex, inout Int) -> Void
    ) -> Bool {
        guard admits(name, limits) else { return false }
        body(&services[name, default: ServiceIndex()], &byteCount)
        return true
    }

    /// Whether a service is there or has room.
    mutating func admits(_ name: String, _ limits: CorrelationConfiguration) -> Bool {
        if services[name] != nil { return true }
        guard services.count < limits.maxServices else {
            dropped += 1
            return false
        }
        byteCount += 256 + name.utf8.count
        return true
    }

    mutating func addExemplar(
        _ id: TraceID, _ exemplar: ExemplarReference, _ limits: CorrelationConfiguration
    ) {
        let full = (exemplars[id]?.count ?? 0) >= limits.maxReferencesPerTrace
        if full {
            dropped += 1
            return
        }
        exemplars[id, default: []].append(exemplar)
        byteCount += 96 + exemplar.series.bytes.count + exemplar.labels.bytes.count
    }

    mutating func merge(_ other: DayIndex, _ limits: CorrelationConfiguration) {
        lines.merge(other.lines)
        for (id, found) in other.exemplars { exemplars[id, default: []] += found }
        for (name, service) in other.services.sorted(by: { $0.key < $1.key }) {
            withService(name, limits) { mine, _ in mine.merge(service, limits) }
        }
        calls.merge(other.calls)
    }
}
