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

/// A name that spans of a service have, with their kind.
package struct OperationName: Sendable, Hashable {
    package var name: String
    /// OTLP's `SpanKind`.
    package var kind: UInt8
}

extension Correlation {
    /// Calls of the five minutes that touch the range, by caller and callee, ascending; and the parts that
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

    /// Names and kinds of a service's spans in the range, ascending. Operations beyond the configured
    /// limit stand together as `(other)`. A look-up.
    package func operationNames(
        ofService name: String, tenant: Tenant, range: NanosRange
    ) -> [OperationName] {
        guard let service = collected(name, tenant, range) else { return [] }
        var keys: Set<OperationKey> = []
        for bucket in service.buckets.values { keys.formUnion(bucket.operations.keys) }
        return keys.sorted().map { OperationName(name: $0.name, kind: $0.kind) }
    }
}
