// SPDX-License-Identifier: Apache-2.0
// The section `remote_write`: upstream's files, and what each key comes to.

import Base
import Ingest
import Scrape
import TestKit
import Testing

@testable import Server

@Suite struct RemoteWriteSettingsTests {
    private static let folder = "config/prometheus/"

    @Test func upstreamsFilesLoadOrFailAsThere() throws {
        guard let listed = Corpora.file("config/prometheus-errors.json") else { return }
        var seen = 0
        guard case .array(let entries) = try CorpusJSON(parsing: listed) else { return }
        for case .object(let entry) in entries {
            guard case .string(let name) = entry["file"], name.hasPrefix("remote_write"),
                case .string(let text) = entry["errorContains"],
                let bytes = Corpora.file(Self.folder + name)
            else { continue }
            seen += 1
            do {
                _ = try Configuration.parse(String(decoding: bytes, as: UTF8.self))
                Issue.record("\(name) was taken")
            } catch {
                #expect("\(error)".contains(text), "\(name): \(error)")
            }
        }
        #expect(seen > 5)
        let good = try #require(
            Corpora.file(Self.folder + "remote_write_retry_on_rate_limit.good.yml"))
        let text = String(decoding: good, as: UTF8.self)
        let settings = try Configuration.parse(text).forwardDestinations
        #expect(settings.map(\.forward.retriesTooManyRequests) == [true, false])
        #expect(Set(settings.map(\.forward.name)).count == 2)
    }

    @Test func everyKeyIsRead() throws {
        let configuration = try Configuration.parse(
            """
            global:
              external_labels: {region: eu}
            remote_write:
              - url: http://user:password@there/push
                name: one
                remote_timeout: 7s
                protobuf_message: io.prometheus.write.v2.Request
                headers: {X-Scope-OrgID: team}
                send_exemplars: true
                send_native_histograms: true
                write_relabel_configs:
                  - {regex: secret, action: labeldrop}
                basic_auth: {username: u, password: p}
                queue_config:
                  capacity: 1
                  min_shards: 2
                  max_shards: 3
                  max_samples_per_send: 4
                  batch_send_deadline: 5s
                  min_backoff: 6ms
                  max_backoff: 7s
                  retry_on_http_429: true
                  sample_age_limit: 8m
                metadata_config: {send: false, send_interval: 9s, max_samples_per_send: 10}
              - url: http://there/push
              - url: http://there/push
            """)
        let one = configuration.forwardDestinations[0]
        var expected = ForwardSettings(name: "one", url: "http://user:xxxxx@there/push")
        expected.timeoutSeconds = 7
        expected.version = .two
        expected.sendsExemplars = true
        expected.sendsNativeHistograms = true
        expected.externalLabels = [.init("region", "eu")]
        expected.minShards = 2
        expected.maxShards = 3
        expected.samplesPerRequest = 4
        expected.batchDeadlineSeconds = 5
        expected.minBackoffSeconds = 0.006
        expected.maxBackoffSeconds = 7
        expected.retriesTooManyRequests = true
        expected.sampleAgeLimitSeconds = 480
        expected.sendsMetadata = false
        expected.metadataIntervalSeconds = 9
        expected.metadataPerRequest = 10
        expected.rules = one.forward.rules
        #expect(one.forward == expected && one.forward.rules.count == 1)
        #expect(one.url == "http://user:password@there/push")
        #expect(one.headers == [NamedText("X-Scope-OrgID", "team")])
        #expect(one.client.authentication != .none)
        #expect(configuration.notes.contains { $0.contains("capacity") })
        // Without a name each has one of its own, which stays the same.
        let names = configuration.forwardDestinations.dropFirst().map(\.forward.name)
        #expect(Set(names).count == 2 && names.allSatisfy { $0.count == 6 })
        #expect(configuration.forwardDestinations[1].forward.version == .one)
    }
}
