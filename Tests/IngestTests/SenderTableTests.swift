// SPDX-License-Identifier: Apache-2.0
// Who sends a metric.

import Base
import Telemetry
import Testing

@testable import Ingest

@Suite struct SenderTableTests {
    private func batch(_ names: [String], instance: String = "i") -> MetricBatch {
        var batch = MetricBatch()
        for name in names {
            let series = batch.addSeries(
                Labels([("__name__", name), ("instance", instance), ("job", "shop")]))
            batch.addSample(series: series, millis: 1, value: 1)
        }
        return batch
    }
    private let tenant = Tenant("a")

    @Test func sendersAreToldByMetricTheLatestFirst() {
        let table = SenderTable()
        let agent = MetricSender(via: "/api/v1/write", address: "10.0.0.1", agent: "Prometheus/3")
        MetricSender.$current.withValue(agent) {
            table.note(batch(["m", "n"]), tenant, nowMillis: 1)
        }
        table.note(batch(["m"]), tenant, nowMillis: 2)
        table.note(batch(["m"]), tenant, nowMillis: 3)
        table.note(batch(["m"]), Tenant("b"), nowMillis: 3)
        let scrape = MetricSender(via: "scrape", address: "i", agent: "shop")
        let found = table.senders(of: "m", tenant: tenant).map(\.entry)
        #expect(
            found == [
                .init(sender: scrape, lastMillis: 3, batches: 2),
                .init(sender: agent, lastMillis: 1, batches: 1),
            ])
        #expect(table.senders(of: nil, tenant: tenant).map(\.metric) == ["m", "m", "n"])
        #expect(table.senders(of: "x", tenant: tenant).isEmpty)
    }

    @Test func eachMetricHasTheLastEight() {
        let table = SenderTable()
        for i in 0..<20 {
            table.note(batch(["m"], instance: "\(i)"), tenant, nowMillis: Int64(i))
        }
        let found = table.senders(of: "m", tenant: tenant).map(\.entry.sender.address)
        #expect(found == (12..<20).reversed().map { "\($0)" })
    }

    @Test func largeBatchesAreSeenBitByBit() {
        let table = SenderTable()
        let large = batch((0..<1000).map { "m\($0)" })
        table.note(large, tenant, nowMillis: 1)
        #expect(table.senders(of: nil, tenant: tenant).count <= 16)
        for _ in 0..<100 { table.note(large, tenant, nowMillis: 2) }
        #expect(table.senders(of: nil, tenant: tenant).count > 900)
    }

    @Test func thereIsABound() {
        let table = SenderTable()
        for i in 0..<25_000 { table.note(batch(["m\(i)"]), tenant, nowMillis: 1) }
        #expect(table.senders(of: nil, tenant: tenant).count == 20_000)
    }
}
