// SPDX-License-Identifier: Apache-2.0
// Where samples are sent on to.

import Base
import Ingest
import Scrape

/// One entry of `remote_write`, with Prometheus' defaults.
///
/// Source: prometheus/prometheus `config/config.go`, `RemoteWriteConfig`.
package struct RemoteWriteSettings: Sendable, Equatable {
    /// `protobuf_message`.
    package enum Message: String, Sendable, CaseIterable {
        case v1 = "prometheus.WriteRequest"
        case v2 = "io.prometheus.write.v2.Request"
    }

    /// `queue_config`.
    package struct Queue: Sendable, Equatable {
        /// Samples per shard that wait in memory.
        package var capacity = 10_000
        package var minShards = 1
        package var maxShards = 50
        package var maxSamplesPerSend = 2000
        package var batchSendDeadlineSeconds = 5.0
        package var minBackoffSeconds = 0.03
        package var maxBackoffSeconds = 5.0
        /// Whether a request refused with 429 is sent again.
        package var retriesOn429 = false
        /// Older samples are dropped; 0 = none are.
        package var sampleAgeLimitSeconds = 0.0
        package init() {}
    }

    /// `metadata_config`.
    package struct Metadata: Sendable, Equatable {
        package var isSent = true
        package var sendIntervalSeconds = 60.0
        package var maxSamplesPerSend = 2000
        package init() {}
    }

    package var url = ""
    /// Empty = none was given.
    package var name = ""
    package var timeoutSeconds = 30.0
    package var message = Message.v1
    package var headers: [NamedText] = []
    package var relabelRules: [RelabelRule] = []
    package var sendsExemplars = false
    package var sendsNativeHistograms = false
    /// A new address of the host for each connection.
    package var usesRoundRobinDNS = false
    package var queue = Queue()
    package var metadata = Metadata()
    package var client = HTTPClientSettings()

    package init() {}
}

/// One entry of `remote_read`. Source: as above, `RemoteReadConfig`.
package struct RemoteReadSettings: Sendable, Equatable {
    package var url = ""
    package var name = ""
    package var timeoutSeconds = 60.0
    package var headers: [NamedText] = []
    package var requiredMatchers: [NamedText] = []
    package var readsRecent = false
    package var filtersExternalLabels = true
    package var client = HTTPClientSettings()

    package init() {}
}

extension RemoteWriteSettings {
    init(
        _ section: YAMLSection, in directory: String, _ names: NameScheme
    ) throws(ConfigurationError) {
        var section = section
        url = try section.string("url") ?? ""
        if url.isEmpty { throw section.failure("url for remote_write is empty") }
        name = try section.string("name") ?? ""
        timeoutSeconds = try section.duration("remote_timeout") ?? timeoutSeconds
        if let text = try section.string("protobuf_message") {
            guard let message = Message(rawValue: text) else {
                throw section.failure(
                    "invalid protobuf_message value: unknown type for remote write protobuf "
                        + "message \(text), supported: "
                        + Message.allCases.map(\.rawValue).joined(separator: ", "))
            }
            self.message = message
        }
        headers = try section.remoteHeaders(
            authorization: "authorization header must be changed via the basic_auth, "
                + "authorization, oauth2, sigv4, azuread or google_iam parameter")
        relabelRules = try section.relabelRules(
            "write_relabel_configs", names,
            ifNull: "empty or null relabeling rule in remote write config")
        sendsExemplars = try section.bool("send_exemplars") ?? false
        sendsNativeHistograms = try section.bool("send_native_histograms") ?? false
        usesRoundRobinDNS = try section.bool("round_robin_dns") ?? false
        if var section = try section.section("queue_config") { queue = try Queue(&section) }
        if var section = try section.section("metadata_config") {
            metadata.isSent = try section.bool("send") ?? true
            metadata.sendIntervalSeconds =
                try section.duration("send_interval") ?? metadata.sendIntervalSeconds
            metadata.maxSamplesPerSend =
                try section.int("max_samples_per_send") ?? metadata.maxSamplesPerSend
            try section.finish()
        }
        try section.refuseClouds(["sigv4", "azuread", "google_iam"])
        client = try section.httpClient(in: directory)
        try section.finish()
    }
}

extension RemoteWriteSettings.Queue {
    fileprivate init(_ section: inout YAMLSection) throws(ConfigurationError) {
        capacity = try section.int("capacity") ?? capacity
        minShards = try section.int("min_shards") ?? minShards
        maxShards = try section.int("max_shards") ?? maxShards
        maxSamplesPerSend = try section.int("max_samples_per_send") ?? maxSamplesPerSend
        batchSendDeadlineSeconds =
            try section.duration("batch_send_deadline") ?? batchSendDeadlineSeconds
        minBackoffSeconds = try section.duration("min_backoff") ?? minBackoffSeconds
        maxBackoffSeconds = try section.duration("max_backoff") ?? maxBackoffSeconds
        retriesOn429 = try section.bool("retry_on_http_429") ?? false
        sampleAgeLimitSeconds = try section.duration("sample_age_limit") ?? 0
        try section.finish()
        let positive = [
            ("max_samples_per_send", maxSamplesPerSend), ("max_shards", maxShards),
            ("min_shards", minShards), ("capacity", capacity),
        ]
        for (key, value) in positive where value <= 0 {
            throw section.failure("remote write queue \(key) must be positive")
        }
        if minShards > maxShards {
            throw section.failure(
                "remote write queue min_shards must not be greater than max_shards")
        }
        if maxBackoffSeconds < minBackoffSeconds {
            throw section.failure(
                "remote write queue max_backoff must not be less than min_backoff")
        }
    }
}

extension RemoteReadSettings {
    init(_ section: YAMLSection, in directory: String) throws(ConfigurationError) {
        var section = section
        url = try section.string("url") ?? ""
        if url.isEmpty { throw section.failure("url for remote_read is empty") }
        name = try section.string("name") ?? ""
        timeoutSeconds = try section.duration("remote_timeout") ?? timeoutSeconds
        headers = try section.remoteHeaders(
            authorization: "authorization header must be changed via the basic_auth, "
                + "authorization, or oauth2 parameter")
        requiredMatchers = try (section.pairs("required_matchers") ?? []).map {
            NamedText($0.name, $0.value)
        }
        readsRecent = try section.bool("read_recent") ?? false
        filtersExternalLabels = try section.bool("filter_external_labels") ?? true
        client = try section.httpClient(in: directory)
        try section.finish()
    }
}

extension YAMLSection {
    /// `headers`, some of which belong to the protocol.
    ///
    /// - Parameter authorization: what is said about an `Authorization` header.
    mutating func remoteHeaders(
        authorization: String
    ) throws(ConfigurationError) -> [NamedText] {
        let headers = try pairs("headers") ?? []
        for header in headers {
            let name = header.name.lowercased()
            if name == "authorization" { throw failure(authorization) }
            if HTTPClientSettings.reservedHeaders.contains(name) {
                throw failure("\(header.name) is a reserved header. It must not be changed")
            }
            guard isFieldName(header.name) else {
                throw failure("\(quotedText(header.name)) is not a valid header name")
            }
        }
        return headers.map { NamedText($0.name, $0.value) }
    }

    /// Ways of authentication that are not there.
    mutating func refuseClouds(_ keys: [String]) throws(ConfigurationError) {
        for key in keys {
            guard let value = take(key) else { continue }
            throw failure(
                "\(key) is not supported: this server signs no requests; authenticate by "
                    + "basic_auth, authorization, oauth2 or tls_config, or through a proxy that "
                    + "signs", value)
        }
    }
}
