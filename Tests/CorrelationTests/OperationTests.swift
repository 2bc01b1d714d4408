// SPDX-License-Identifier: Apache-2.0
// Operations and calls of all services.

import Storage
import Telemetry
import Testing

@testable import Correlation

@Suite struct OperationTests {
    private let index: Correlation = {
        let index = Correlation()
        let spans = spanBatch([
            TestSpan(service: "front", name: "pay", id: 1, kind: 3, duration: 10_000_000),
            TestSpan(
                service: "bank", name: "charge", id: 2, parent: 1, kind: 2, duration: 8_000_000,
                isError: true),
            TestSpan(
                service: "bank", name: "charge", id: 3, kind: 2, start: noon + 600_000_000_000,
                duration: 16_000_000),
        ])
        index.record(spans: spans, tenant: .anonymous, generation: 1)
        return index
    }()

    @Test func callsOfAllServices() {
        let (calls, faults) = index.serviceCalls(tenant: .anonymous, range: .all)
        #expect(
            calls == [
                ServiceCall(caller: "front", callee: "bank", callCount: 1, errorCount: 1)
            ])
        #expect(faults.isEmpty)
        let later = NanosRange(first: Nanos(noon + 1), last: Nanos(.max))
        #expect(index.serviceCalls(tenant: .anonymous, range: later).calls.isEmpty)
        #expect(index.serviceCalls(tenant: Tenant("other"), range: .all).calls.isEmpty)
    }

    @Test func bucketsOfOneService() {
        let buckets = index.operationBuckets(
            ofService: "bank", tenant: .anonymous, range: .all)
        #expect(buckets.map(\.name) == ["charge", "charge"])
        #expect(buckets.map(\.errorCount) == [1, 0])
        #expect(buckets.map(\.kind) == [2, 2])
        for bucket in buckets {
            #expect(bucket.startNanos % OperationBucket.width == 0)
            #expect(bucket.count == 1)
        }
        let longest = buckets.last?.durations.quantile(0.99) ?? 0
        #expect((15_800_000...16_200_000).contains(longest))
        let early = NanosRange(first: Nanos(.min), last: Nanos(noon))
        #expect(
            index.operationBuckets(ofService: "bank", tenant: .anonymous, range: early).count == 1)
        #expect(
            index.operationBuckets(ofService: "none", tenant: .anonymous, range: .all).isEmpty)
    }
}
