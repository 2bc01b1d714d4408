// SPDX-License-Identifier: Apache-2.0
// One UTC day of the index, as heads hold it and parts are decoded to.

import Storage
import Telemetry

struct DayIndex: Sendable {
    var traces: [TraceID: TraceRefs] = [:]
    var services: [String: ServiceIndex] = [:]
    var calls = CallIndex()

    /// About the bytes of memory held; grows with what is recorded.
    var byteCount = 0
    /// What the limits left out.
    var dropped = 0
    /// Earliest and latest time recorded.
    var minNanos = Int64.max
    var maxNanos = Int64.min

    /// Entries, as `PartDescriptor.rowCount` counts them.
    var entryCount: Int {
        services.count + calls.count + traces.values.reduce(0) { $0 + $1.count }
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
        if services[name] == nil {
            guard services.count < limits.maxServices else {
                dropped += 1
                return false
            }
            byteCount += 256 + name.utf8.count
        }
        body(&services[name, default: ServiceIndex()], &byteCount)
        return true
    }

    mutating func addLog(
        _ id: TraceID, _ reference: LogReference, _ limits: CorrelationConfiguration
    ) {
        if traces[id, default: TraceRefs()].add(reference, limits.maxReferencesPerTrace) {
            byteCount += 64
        } else {
            dropped += 1
        }
    }

    mutating func addExemplar(
        _ id: TraceID, _ exemplar: ExemplarReference, _ limits: CorrelationConfiguration
    ) {
        let full = (traces[id]?.count ?? 0) >= limits.maxReferencesPerTrace
        if full {
            dropped += 1
            return
        }
        traces[id, default: TraceRefs()].exemplars.append(exemplar)
        byteCount += 96 + exemplar.series.bytes.count + exemplar.labels.bytes.count
    }

    mutating func merge(_ other: DayIndex, _ limits: CorrelationConfiguration) {
        for (id, refs) in other.traces { traces[id, default: TraceRefs()].merge(refs) }
        for (name, service) in other.services.sorted(by: { $0.key < $1.key }) {
            withService(name, limits) { mine, _ in mine.merge(service, limits) }
        }
        calls.merge(other.calls)
    }
}
