// SPDX-License-Identifier: Apache-2.0
// What the configuration says about names: aliases when read, selectors when recorded.

import Base
import Correlation
import Storage
import Telemetry
import Testing

@Suite struct IdentityOverrideTests {
    /// One service under two names, and one that calls it.
    private let spans = [
        TestSpan(service: "front", id: 1, kind: 3),
        TestSpan(service: "checkout", id: 2, parent: 1, version: "1"),
        TestSpan(service: "checkout", name: "save", id: 3, parent: 2, kind: 3),
        TestSpan(
            service: "checkout-svc", name: "save", id: 4, parent: 3, start: noon + 5,
            duration: 2_000_000, isError: true, version: "2"),
        TestSpan(
            service: "Checkout_SVC", name: "mail", trace: traceB, id: 5, kind: 3,
            start: noon + 600_000_000_000, attributes: [("peer.service", "postman")]),
    ]
    private let aliasSeries = Labels([
        ("__name__", "requests_total"), ("job", "shop/checkout-svc"), ("instance", "c-1:80"),
    ])
    private let aliasStream = Labels([("service_name", "checkout-svc")])

    private func overrides(_ entries: IdentityOverride...) throws -> IdentityOverrides {
        try IdentityOverrides(entries)
    }

    private func filled() -> Correlation {
        let index = Correlation()
        record(into: index)
        return index
    }

    private func record(
        into index: Correlation, generation: UInt64 = 1, after nanos: Int64 = 0
    ) {
        var metrics = MetricBatch()
        metrics.addSample(
            series: metrics.addSeries(aliasSeries), millis: (noon + nanos) / 1_000_000, value: 1)
        index.record(metrics: metrics, tenant: tenant, generation: generation)
        var logs = LogBatch()
        let stream = logs.addStream(aliasStream)
        logs.addRow(stream: stream, nanos: noon + nanos, line: logs.arena.keep("it broke"))
        index.record(logs: logs, tenant: tenant, generation: generation)
        index.record(
            spans: spanBatch(
                spans.map {
                    var span = $0
                    span.start += nanos
                    return span
                }), tenant: tenant, generation: generation)
    }

    private func names(_ index: Correlation) -> [String] {
        index.services(tenant: tenant, range: .all).map(\.name)
    }

    /// All that is asked of the merged service.
    private func check(_ index: Correlation, times: Int = 1) throws {
        #expect(names(index) == ["checkout", "front"])
        for name in ["checkout", "checkout-svc", "CHECKOUT_svc"] {
            #expect(index.canonicalName(name, tenant: tenant, range: .all) == "checkout")
            let found = try #require(index.service(name, tenant: tenant, range: .all))
            #expect(found.summary.name == "checkout")
            #expect(found.summary.namespace == "trade")
            #expect(
                found.summary.aliases == ["Checkout_SVC", "checkout-svc", "shop/checkout-svc"])
            #expect(found.summary.spanCount == UInt64(4 * times))
            #expect(found.summary.errorCount == UInt64(times))
            #expect(found.summary.logLineCount == UInt64(times))
            #expect(found.series == [aliasSeries])
            #expect(found.streams == [aliasStream])
            #expect(found.operations.map(\.name) == ["GET /", "mail", "save", "save"])
            #expect(found.versions.map(\.version) == ["1", "2"])
            #expect(found.upstream.map(\.service) == ["front"])
            #expect(found.upstream.first?.callCount == UInt64(times))
            // The call between its two names is none.
            #expect(found.downstream.map(\.service) == ["postman"])
            let traces = index.traces(ofService: name, tenant: tenant, range: .all, limit: 5)
            #expect(traces.recent == [traceB, traceA])
            #expect(traces.errors == [traceA])
            #expect(traces.slow == [traceA, traceB])
        }
        #expect(
            index.spanNames(ofService: "checkout", tenant: tenant, range: .all)
                == ["Checkout_SVC", "checkout", "checkout-svc"])
        #expect(index.serviceName(ofSeries: aliasSeries, tenant: tenant) == "checkout")
        #expect(index.serviceName(ofStream: aliasStream) == "checkout")
        #expect(
            index.operationNames(ofService: "checkout-svc", tenant: tenant, range: .all).count
                == 4)
        let calls = index.serviceCalls(tenant: tenant, range: .all).calls
        #expect(calls.map(\.caller) == ["checkout", "front"])
        let identity = try #require(
            index.service("checkout", tenant: tenant, range: .all)
        ).identity
        let found = identity.filter { $0.ruleName == "override" }
        #expect(
            found.map { [$0.alias, $0.source, $0.foundBy ?? ""] } == [
                ["Checkout_SVC", "configuration", "aliases"],
                ["Checkout_SVC", "traces", "service.name"],
                ["checkout-svc", "configuration", "aliases"],
                ["checkout-svc", "logs", "service_name"],
                ["checkout-svc", "traces", "service.name"],
                ["shop/checkout-svc", "metrics", "job"],
            ])
        #expect(
            identity.filter { $0.ruleName != "override" }
                == [ServiceAlias(alias: "checkout", source: "traces", rule: "service.name")])
    }

    private let alias = IdentityOverride(
        name: "checkout", namespace: "trade", aliases: ["checkout-svc"])

    @Test func aliasesAreOneServiceInHeadsAndParts() throws {
        let index = filled()
        let plain = Everything(index)
        #expect(names(index) == ["Checkout_SVC", "checkout", "checkout-svc", "front"])
        index.setOverrides(try overrides(alias))
        try check(index)
        // What was recorded is untouched.
        index.setOverrides(nil)
        #expect(Everything(index) == plain)
        #expect(index.service("checkout", tenant: tenant, range: .all)?.downstream.count == 1)

        index.setOverrides(try overrides(alias))
        var shelf = Shelf()
        index.sealed(generation: 1, parts: try shelf.add(try index.seal(generation: 1)))
        try check(index)
        // A head beside parts; the day is the same.
        record(into: index, generation: 2, after: 700_000_000_000)
        #expect(names(index) == ["checkout", "front"])
        let both = try #require(index.service("checkout-svc", tenant: tenant, range: .all))
        #expect(both.summary.spanCount == 8)
        #expect(both.summary.logLineCount == 2)
        index.setOverrides(nil)
        #expect(names(index) == ["Checkout_SVC", "checkout", "checkout-svc", "front"])
        let parts = Correlation()
        for handle in shelf.handles { try parts.open(handle) }
        #expect(Everything(parts) == plain)
    }

    /// A name that nothing is recorded under may still be a service's.
    @Test func theNameMayBeNew() throws {
        let index = filled()
        index.setOverrides(
            try overrides(
                IdentityOverride(
                    name: "Shop Checkout", aliases: ["checkout", "x/checkout-svc"])))
        #expect(names(index) == ["Shop Checkout", "front"])
        #expect(index.service("checkout", tenant: tenant, range: .all)?.summary.spanCount == 4)
        #expect(
            index.traces(ofService: "Shop Checkout", tenant: tenant, range: .all, limit: 5)
                .recent.count == 2)
    }

    private func selector(_ pairs: (String, String)...) -> [LabelMatcher] {
        pairs.map { LabelMatcher(equal: $0.0, $0.1) }
    }

    @Test func selectorsActOnAllThreeSignalsFromThenOn() throws {
        let index = Correlation()
        func record(_ generation: UInt64, after nanos: Int64) {
            var metrics = MetricBatch()
            for team in ["batch", "web"] {
                let series = metrics.addSeries(
                    Labels([("__name__", "up"), ("job", "node"), ("team", team)]))
                metrics.addSample(
                    series: series, millis: (noon + nanos) / 1_000_000, value: 1)
            }
            index.record(metrics: metrics, tenant: tenant, generation: generation)
            var logs = LogBatch()
            let stream = logs.addStream(Labels([("service_name", "node"), ("team", "batch")]))
            logs.addRow(stream: stream, nanos: noon + nanos, line: logs.arena.keep("x"))
            index.record(logs: logs, tenant: tenant, generation: generation)
            var spans = spanBatch([
                TestSpan(service: "node", id: UInt64(nanos) + 1, kind: 3, start: noon + nanos),
                TestSpan(
                    service: "other", id: UInt64(nanos) + 2, parent: UInt64(nanos) + 1,
                    start: noon + nanos),
            ])
            var attributes = ByteWriter()
            AttributeCoding.encode("team.lead", .string("ann"), into: &attributes)
            AttributeCoding.encode("team", .string("batch"), into: &attributes)
            spans.resources[0].attributes = attributes.bytes.withUnsafeBytes {
                spans.arena.keep($0)
            }
            index.record(spans: spans, tenant: tenant, generation: generation)
        }
        record(1, after: 0)
        #expect(names(index) == ["node", "other"])

        index.setOverrides(
            try overrides(
                IdentityOverride(
                    name: "batch", namespace: "night",
                    selectors: [
                        selector(("job", "nothing")),
                        selector(("job", "node"), ("team", "batch")),
                        selector(("service_name", "node"), ("team", "batch")),
                    ])))
        // The same five minutes: what was seen is looked at again.
        record(1, after: 1_000_000)
        #expect(names(index) == ["batch", "node", "other"])
        let batch = try #require(index.service("batch", tenant: tenant, range: .all))
        #expect(batch.series.map { $0["team"] } == ["batch"])
        #expect(batch.streams.count == 1)
        #expect(batch.summary.spanCount == 1)
        #expect(batch.summary.logLineCount == 1)
        #expect(batch.summary.namespace == "night")
        #expect(batch.summary.aliases == ["node"])
        #expect(batch.downstream.map(\.service) == ["other"])
        #expect(
            batch.identity.map { [$0.alias, $0.source, $0.ruleName, $0.foundBy ?? ""] } == [
                ["node", "logs", "override", #"{service_name="node", team="batch"}"#],
                ["node", "metrics", "override", #"{job="node", team="batch"}"#],
                ["node", "traces", "override", #"{job="node", team="batch"}"#],
            ])
        #expect(index.spanNames(ofService: "batch", tenant: tenant, range: .all) == ["node"])
        let node = try #require(index.service("node", tenant: tenant, range: .all))
        #expect(node.summary.spanCount == 1)
        #expect(node.summary.logLineCount == 1)
        // Labels that are asked about are those of now.
        let series = Labels([("job", "node"), ("team", "batch")])
        #expect(index.serviceName(ofSeries: series, tenant: tenant) == "batch")
        #expect(
            index.override(ofStream: series)?.matchers
                == selector(("job", "node"), ("team", "batch")))

        // The rule outlives its part.
        var shelf = Shelf()
        index.sealed(generation: 1, parts: try shelf.add(try index.seal(generation: 1)))
        #expect(
            index.service("batch", tenant: tenant, range: .all)?.identity == batch.identity)

        // Undone, it is the priority list's again.
        index.setOverrides(nil)
        record(2, after: 2_000_000)
        let after = try #require(index.service("node", tenant: tenant, range: .all))
        #expect(after.summary.spanCount == 2)
        #expect(after.summary.logLineCount == 2)
        #expect(index.service("batch", tenant: tenant, range: .all)?.summary.spanCount == 1)
    }

    /// Nothing is lost or counted twice while the table changes; an answer is by one table.
    @Test func tablesChangeWhileThereIsWork() async throws {
        let index = Correlation()
        let selected = try overrides(
            IdentityOverride(name: "one", aliases: ["b"], selectors: [selector(("job", "a"))]))
        let rounds = 200
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for round in 0..<rounds { index.setOverrides(round % 2 == 0 ? selected : nil) }
            }
            for writer in 0..<2 {
                group.addTask {
                    for round in 0..<rounds {
                        let id = UInt64(writer * 10_000 + round * 10 + 1)
                        index.record(
                            spans: spanBatch([
                                TestSpan(service: "a", id: id), TestSpan(service: "b", id: id + 1),
                            ]), tenant: tenant, generation: 1)
                    }
                }
            }
            group.addTask {
                for _ in 0..<rounds {
                    let found = index.services(tenant: tenant, range: .all)
                    #expect(Set(found.map(\.name)).isSubset(of: ["a", "b", "one"]))
                    let isMapped = found.contains { $0.aliases.contains("b") }
                    #expect(!isMapped || !found.contains { $0.name == "b" })
                }
            }
        }
        index.setOverrides(selected)
        let services = index.services(tenant: tenant, range: .all)
        #expect(services.reduce(0) { $0 + $1.spanCount } == UInt64(4 * rounds))
        #expect(!services.contains { $0.name == "b" })
        index.setOverrides(nil)
        let b = index.service("b", tenant: tenant, range: .all)
        #expect(b?.summary.spanCount == UInt64(2 * rounds))
    }

    /// What recovery brings is learned by the table of the start; a target's name is mapped as others.
    @Test func replayedRecordsAndTargetsAreOverridden() throws {
        let index = Correlation()
        index.setOverrides(
            try overrides(
                IdentityOverride(name: "night", selectors: [selector(("job", "kept"))]),
                IdentityOverride(name: "shop", aliases: ["front"])))
        var metrics = MetricBatch()
        for pairs in [
            [
                ("__name__", "target_info"), ("job", "pods"), ("instance", "10.0.0.1:80"),
                ("service_name", "front"),
            ], [("__name__", "up"), ("job", "pods"), ("instance", "10.0.0.1:80")],
            [("__name__", "up"), ("job", "kept"), ("instance", "10.0.0.2:80")],
        ] {
            let series = metrics.addSeries(Labels(pairs.map { (name: $0.0, value: $0.1) }))
            metrics.addSample(series: series, millis: noon / 1_000_000, value: 1)
        }
        var writer = ByteWriter()
        metrics.encode(into: &writer)
        try writer.bytes.withUnsafeBytes {
            try index.observe(
                $0, from: .metrics, tenant: tenant.name, generation: 0, sequence: 1)
        }
        #expect(names(index) == ["night", "shop"])
        let shop = try #require(index.service("front", tenant: tenant, range: .all))
        #expect(shop.series.count == 2)
        // How a target is called is told by `explain` alone.
        #expect(shop.summary.aliases == ["front"])
        #expect(shop.identity.contains { $0.foundBy == "target_info" })
    }

    /// Names of attributes as OTLP metrics have them.
    @Test func attributesAreMatchedByTheirLabelNames() throws {
        let index = Correlation()
        for (key, label) in [
            ("k8s.cluster.name", "k8s_cluster_name"), ("2nd-team", "key_2nd_team"),
            ("_x", "key_x"), ("é", "key_"),
        ] {
            index.setOverrides(
                try overrides(
                    IdentityOverride(name: "found", selectors: [selector((label, "7"))])))
            var batch = spanBatch([TestSpan(service: "a")])
            var attributes = ByteWriter()
            AttributeCoding.encode(key, .int(7), into: &attributes)
            batch.resources[0].attributes = attributes.bytes.withUnsafeBytes {
                batch.arena.keep($0)
            }
            #expect(
                index.serviceName(ofResource: batch.resources[0], in: batch.arena) == "found",
                "\(key)")
            index.rename(&batch)
            #expect(batch.arena.text(batch.resources[0].serviceName) == "found")
        }
    }

    private func fault(_ entries: IdentityOverride...) -> IdentityOverrides.Fault? {
        do {
            _ = try IdentityOverrides(entries)
            return nil
        } catch { return error }
    }

    @Test func entriesThatContradictAreRefused() throws {
        let a = IdentityOverride(name: "a", aliases: ["a-1", "ns/b"])
        func problem(_ entries: IdentityOverride...) -> String {
            do {
                _ = try IdentityOverrides(entries)
                return ""
            } catch { return "\(error.entry): \(error.problem)" }
        }
        #expect(problem(a, IdentityOverride(name: "A.")).hasPrefix(#"1: name "A." means the same"#))
        #expect(
            problem(a, IdentityOverride(name: "c", aliases: ["A1"]))
                == #"1: alias "A1" means the same as an alias of identity "a""#)
        #expect(
            problem(a, IdentityOverride(name: "b"))
                == #"0: alias "ns/b" means the same as the name of identity "b""#)
        #expect(problem(IdentityOverride(name: "")) == "0: empty name")
        #expect(problem(a, IdentityOverride(name: "-")) == "1: empty name")
        #expect(problem(IdentityOverride(name: "x", aliases: [""])) == "0: empty alias")
        #expect(problem(IdentityOverride(name: "x", namespace: "")) == "0: empty namespace")
        #expect(
            problem(IdentityOverride(name: "x", selectors: [selector(("job", ""))]))
                == #"0: selector {job=""} selects everything"#)
        #expect(fault(IdentityOverride(name: "x", selectors: [[]])) != nil)
        // An alias twice in one entry, and one that is its name, say nothing new.
        #expect(fault(IdentityOverride(name: "x", aliases: ["X", "y", "y", "ns/x"])) == nil)
    }

    @Test func entriesAreBounded() throws {
        func entry(
            _ n: Int, aliases: Int = 0, selectors: Int = 0, matchers: Int = 1
        )
            -> IdentityOverride
        {
            IdentityOverride(
                name: "s\(n)", aliases: (0..<aliases).map { "a\(n)x\($0)" },
                selectors: (0..<selectors).map { number in
                    (0..<matchers).map { LabelMatcher(equal: "l\($0)", "\(number)") }
                })
        }
        func isRefused(_ entries: [IdentityOverride]) -> Bool {
            do {
                _ = try IdentityOverrides(entries)
                return false
            } catch { return true }
        }
        #expect(!isRefused((0..<1000).map { entry($0) }))
        #expect(isRefused((0..<1001).map { entry($0) }))
        #expect(!isRefused([entry(0, aliases: 100)]))
        #expect(isRefused([entry(0, aliases: 101)]))
        #expect(!isRefused([entry(0, selectors: 500), entry(1, selectors: 500)]))
        #expect(isRefused([entry(0, selectors: 500), entry(1, selectors: 501)]))
        #expect(!isRefused([entry(0, selectors: 1, matchers: 16)]))
        #expect(isRefused([entry(0, selectors: 1, matchers: 17)]))
        #expect(isRefused([IdentityOverride(name: String(repeating: "n", count: 1025))]))
    }
}
