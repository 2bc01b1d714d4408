// SPDX-License-Identifier: Apache-2.0
// Limits of tenants over HTTP and in the configuration.

import Base
import Ingest
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite(.serialized) struct TenantLimitTests {
    @Test func newSeriesAreRefusedByNameAndKnownOnesGoOn() async throws {
        try await withServer {
            _ in
        } adjust: {
            $0.tenantLimits.common.maxSeries = 2
        } _: { server in
            for name in ["one", "two"] {
                let reply = try await server.post(
                    "/api/v1/write", protobuf, remoteWriteBody(name))
                #expect(reply.status == 204)
            }
            let three = try await server.post("/api/v1/write", protobuf, remoteWriteBody("three"))
            #expect(three.status == 400)
            #expect(
                three.text.contains("2 active series")
                    && three.text.contains("limits.max_series in the configuration"))
            let both = Snappy.compress(
                remoteWriteMessage(
                    ["one", "four"].map {
                        TestSeries([("__name__", $0), ("job", "test")], [(7, nowMillis + 5)])
                    }))
            #expect(try await server.post("/api/v1/write", protobuf, both).status == 400)
            let found = try await server.get(
                "/api/v1/query?query=" + percentEncoded("{job=\"test\"}"))
            #expect(found.text.contains(#""__name__":"one""#) && found.text.contains(#""7""#))
            #expect(!found.text.contains("four") && !found.text.contains("three"))
            let names = try await server.get("/api/v1/label/__name__/values")
            #expect(names.text.contains(#"["one","two"]"#), "\(names.text)")
            let page = try await server.get("/metrics").text
            #expect(
                page.contains(
                    #"tern_ingest_limited_series_total{tenant="anonymous",reason="max_series"} 2"#))
            #expect(page.contains(#"tern_tenant_series_active{tenant="anonymous"} 2"#))
        }
    }

    @Test func aRequestMayBeTooLarge() async throws {
        try await withServer {
            _ in
        } adjust: {
            $0.tenantLimits.common.maxSamplesPerRequest = 1
        } _: { server in
            let body = Snappy.compress(
                remoteWriteMessage([
                    TestSeries(
                        [("__name__", "one"), ("job", "test")],
                        [(1, nowMillis), (2, nowMillis + 1)])
                ]))
            let reply = try await server.post("/api/v1/write", protobuf, body)
            #expect(reply.status == 400 && reply.text.contains("limits.max_samples_per_request"))
        }
    }

    @Test func sendersAreTold() async throws {
        try await withServer { server in
            _ = try await server.post(
                "/api/v1/write", protobuf, remoteWriteBody("one"),
                headers: [("User-Agent", "agent/1")])
            let reply = try await server.get("/api/v1/status/senders?metric=one")
            #expect(
                reply.text.contains(
                    #"[{"metric":"one","via":"/api/v1/write","address":"127.0.0.1","agent":"agent/1""#
                ), "\(reply.text)")
            let nobody = try await server.get("/api/v1/status/senders?metric=two")
            #expect(nobody.text.contains(#""data":[]"#))
            #expect(try await server.get("/api/v1/status/senders?limit=0").status == 400)
        }
    }

    @Test func theSectionIsRead() throws {
        let configuration = try Configuration.parse(
            """
            limits:
              max_series: 100
              max_new_series_per_hour: 10
              max_label_names: 30
              max_label_name_bytes: 128
              max_label_value_bytes: 2048
              max_samples_per_request: 50000
              tenants:
                large: {max_series: 1000}
                free: {max_series: 0}
            """)
        let limits = configuration.limits
        #expect(limits.common.maxSeries == 100 && limits.common.maxNewSeriesPerHour == 10)
        #expect(limits.common.maxLabelNames == 30 && limits.common.maxLabelNameBytes == 128)
        #expect(limits.common.maxLabelValueBytes == 2048)
        #expect(limits.common.maxSamplesPerRequest == 50_000)
        #expect(limits[Tenant("large")].maxSeries == 1000)
        #expect(limits[Tenant("large")].maxLabelNames == 30)
        #expect(limits[Tenant("free")].maxSeries == 0)
        #expect(limits[Tenant("other")] == limits.common)
        for wrong in [
            "limits: {max_seris: 1}", "limits: {max_series: -1}", "limits: {tenants: {'a b': {}}}",
            "limits: {tenants: {a: {tenants: {}}}}",
        ] {
            #expect(throws: ConfigurationError.self) { try Configuration.parse(wrong) }
        }
    }
}
