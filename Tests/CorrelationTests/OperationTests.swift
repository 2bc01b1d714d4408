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
        let later = NanosRange(first: Nanos(noon + 600_000_000_000), last: Nanos(.max))
        #expect(index.serviceCalls(tenant: .anonymous, range: later).calls.isEmpty)
        #expect(index.serviceCalls(tenant: Tenant("other"), range: .all).calls.isEmpty)
    }

    @Test func operationsOfOneService() {
        func names(_ service: String, _ range: NanosRange = .all) -> [OperationName] {
            index.operationNames(ofService: service, tenant: .anonymous, range: range)
        }
        #expect(names("bank") == [OperationName(name: "charge", kind: 2)])
        #expect(names("front") == [OperationName(name: "pay", kind: 3)])
        #expect(names("none").isEmpty)
        #expect(names("bank", NanosRange(first: Nanos(.min), last: Nanos(noon / 2))).isEmpty)
    }
}
