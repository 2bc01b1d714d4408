// SPDX-License-Identifier: Apache-2.0
// Operations and calls of all services, for trace user interfaces.

import Storage
import Telemetry

/// Calls from one service to another.
package struct ServiceCall: Sendable, Equatable {
    package var caller: String
    package var callee: String
    package var callCount: UInt64
    package var errorCount: UInt64
}

/// One operation of a service during five minutes.
package struct OperationBucket: Sendable, Equatable {
    /// Nanoseconds that a bucket lasts.
    package static let width = ServiceBucket.width

    package var name: String
    /// OTLP's `SpanKind`.
    package var kind: UInt8
    package var startNanos: Int64
    package var count: UInt64
    package var errorCount: UInt64
    package var durations: DurationHistogram
}

extension Correlation {
    /// Calls whose caller starts in the range, by caller and callee, ascending; and the parts that
    /// could not be read. O(spans of calls in the range).
    package func serviceCalls(
        tenant: Tenant, range: NanosRange
    ) -> (calls: [ServiceCall], faults: [PartCorruption]) {
        let (index, faults) = calls(tenant, range)
        let calls = index.calls(range: range).map { key, counts in
            ServiceCall(
                caller: key.caller, callee: key.callee, callCount: counts.count,
                errorCount: counts.errorCount)
        }
        return (calls.sorted { ($0.caller, $0.callee) < ($1.caller, $1.callee) }, faults)
    }

    /// What a service did in each five minutes that touch the range, by time, name and kind.
    /// Operations beyond the configured limit stand together as `(other)`. A look-up.
    package func operationBuckets(
        ofService name: String, tenant: Tenant, range: NanosRange
    ) -> [OperationBucket] {
        guard let service = collect(tenant, range, only: name)[name] else { return [] }
        var result: [OperationBucket] = []
        for (number, bucket) in service.buckets.sorted(by: { $0.key < $1.key }) {
            let (start, overflow) = number.multipliedReportingOverflow(by: ServiceBucket.width)
            if overflow { continue }
            for (key, counts) in bucket.operations.sorted(by: { $0.key < $1.key }) {
                result.append(
                    OperationBucket(
                        name: key.name, kind: key.kind, startNanos: start, count: counts.count,
                        errorCount: counts.errorCount, durations: counts.durations))
            }
        }
        return result
    }
}
