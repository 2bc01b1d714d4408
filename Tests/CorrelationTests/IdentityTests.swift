// SPDX-License-Identifier: Apache-2.0
// Which service a series or stream belongs to, rung by rung.

import Base
import Correlation
import Storage
import Telemetry
import Testing

@Suite struct IdentityTests {
    @Test func namesFollowThePriorityList() {
        let cases: [(labels: [(String, String)], name: String?)] = [
            // Each rung beats the one below.
            ([("service_name", "a"), ("service", "b")], "a"),
            ([("service", "a"), ("app_kubernetes_io_name", "b")], "a"),
            ([("app_kubernetes_io_name", "a"), ("k8s_deployment_name", "b")], "a"),
            ([("k8s_deployment_name", "a"), ("app", "b")], "a"),
            ([("k8s_statefulset_name", "a"), ("app", "b")], "a"),
            ([("k8s_daemonset_name", "a"), ("app", "b")], "a"),
            ([("k8s_job_name", "a"), ("app", "b")], "a"),
            ([("app", "a"), ("application", "b")], "a"),
            ([("application", "a"), ("job", "b")], "a"),
            ([("job", "a"), ("container", "b")], "a"),
            ([("container", "a"), ("pod", "b-7d9c6b8f5b-x2x4z")], "a"),
            ([("container_name", "a"), ("pod", "b")], "a"),
            ([("pod", "a-b-7d9c6b8f5b-x2x4z")], "a-b"),
            ([("host", "a")], nil),
            // `job` splits at its last slash.
            ([("job", "ns/a")], "a"), ([("job", "monitoring/front/metrics")], "metrics"),
            ([("job", "a/")], "a/"), ([("job", "/a")], "a"),
            // Jobs of all pods alike are no names.
            ([("job", "kubernetes-pods"), ("container", "a")], "a"),
            ([("job", "kubernetes-pods")], nil), ([("job", "kubernetes-api")], "kubernetes-api"),
            // An unknown service is better called by anything else.
            ([("service_name", "unknown_service"), ("job", "ns/a")], "a"),
            ([("service_name", "unknown_service:java"), ("pod", "a-0")], "a"),
            ([("service_name", "unknown_service"), ("host", "h")], "unknown_service"),
            // A `service_name` that discovery made of other labels does not hide the job.
            ([("service_name", "ns/a"), ("job", "ns/a")], "a"),
            ([("service_name", "c"), ("container", "c"), ("job", "ns/a")], "a"),
            ([("service_name", "b"), ("container", "c"), ("job", "ns/a")], "b"),
            // Pods of StatefulSets, DaemonSets, and those without hashes.
            ([("pod", "db-12")], "db"), ([("pod", "agent-x2x4z")], "agent"),
            ([("pod", "front-end")], "front-end"), ([("pod", "a")], "a"),
        ]
        let index = Correlation()
        for (pairs, name) in cases {
            let labels = Labels(pairs.map { (name: $0.0, value: $0.1) })
            #expect(index.serviceName(ofSeries: labels, tenant: tenant) == name, "\(labels)")
            #expect(index.serviceName(ofStream: labels) == name, "\(labels)")
        }
    }

    private func batch(_ sets: [[(String, String)]], millis: Int64) -> MetricBatch {
        var batch = MetricBatch()
        for pairs in sets {
            let series = batch.addSeries(Labels(pairs.map { (name: $0.0, value: $0.1) }))
            batch.addSample(series: series, millis: millis, value: 1)
        }
        return batch
    }

    private let requests = [
        ("__name__", "requests_total"), ("job", "kubernetes-pods"), ("instance", "10.0.0.1:80"),
    ]
    private let target = [
        ("__name__", "target_info"), ("job", "kubernetes-pods"), ("instance", "10.0.0.1:80"),
        ("service_name", "front"), ("service_namespace", "shop"), ("service_version", "1.2"),
    ]

    @Test func targetInfoNamesTheSeriesOfItsTarget() throws {
        let millis = noon / 1_000_000
        let index = Correlation()
        // The series comes first, in a batch of its own, and again in the same five minutes.
        index.record(metrics: batch([requests], millis: millis), tenant: tenant, generation: 1)
        #expect(index.service("front", tenant: tenant, range: .all) == nil)
        index.record(
            metrics: batch([requests, target], millis: millis + 1), tenant: tenant, generation: 1)
        func check(_ index: Correlation, _ comment: Comment) throws {
            let front = try #require(
                index.service("front", tenant: tenant, range: .all), comment)
            #expect(front.metricNames == ["requests_total", "target_info"], comment)
            #expect(front.summary.namespace == "shop", comment)
            #expect(front.versions.map(\.version) == ["1.2"], comment)
            #expect(front.instances == ["10.0.0.1:80"], comment)
            #expect(front.summary.aliases == [], comment)
            #expect(
                front.identity.map(\.alias) == [
                    "{instance=\"10.0.0.1:80\", job=\"kubernetes-pods\"}"
                ], comment)
            let labels = Labels(requests.map { (name: $0.0, value: $0.1) })
            #expect(index.serviceName(ofSeries: labels, tenant: tenant) == "front", comment)
            #expect(index.serviceName(ofSeries: labels, tenant: Tenant("other")) == nil, comment)
        }
        try check(index, "live")
        var shelf = Shelf()
        let reopened = Correlation()
        for handle in try shelf.add(try index.seal(generation: 1)) { try reopened.open(handle) }
        try check(reopened, "reopened")
    }

    @Test func targetInfoYieldsToLabelsThatSayMore() {
        let index = Correlation()
        let named = requests + [("service", "cart")]
        let exported = [
            ("__name__", "target_info"), ("job", "shop/front"), ("instance", "i"),
            ("k8s_deployment_name", "front-v2"),
        ]
        index.record(
            metrics: batch([target, named, exported], millis: noon / 1_000_000), tenant: tenant,
            generation: 1)
        func name(_ pairs: [(String, String)]) -> String? {
            index.serviceName(
                ofSeries: Labels(pairs.map { (name: $0.0, value: $0.1) }), tenant: tenant)
        }
        #expect(name(named) == "cart")
        // An exporter's job is made of the service's name, so the workload is no better.
        #expect(name([("job", "shop/front"), ("instance", "i")]) == "front")
    }

    @Test func otherNamesOfAServiceLeadToIt() {
        let index = Correlation()
        index.record(metrics: metricBatch(), tenant: tenant, generation: 1)
        for name in ["front", "shop/front", "Front", "FRO_NT"] {
            #expect(
                index.canonicalName(name, tenant: tenant, range: .all) == "front", "\(name)")
        }
        #expect(index.canonicalName("back", tenant: tenant, range: .all) == nil)
    }
}
