// SPDX-License-Identifier: Apache-2.0
// What `tern serve` was told on the command line.

import Base

/// A host and a port to listen on.
package struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    /// 0 picks a free one.
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, `:port` (all interfaces) or `[v6]:port`.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port)
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        self.init(host: host.isEmpty ? "0.0.0.0" : host, port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Flags of `tern serve`; times in seconds, sizes in bytes.
package struct ServerOptions: Sendable {
    package var configurationFile: String?
    /// Whether changed files of the configuration are loaded without being told.
    package var autoReload = false
    /// How often they are looked at.
    package var autoReloadSeconds = 30.0
    package var storagePath = "./data"
    package var retentionSeconds: Double?
    package var retentionBytes: Int?
    package var listen = [ListenAddress(host: "127.0.0.1", port: 4100)]
    /// Nil switches the listener off.
    package var otlpHTTP: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 4318)
    package var otlpGRPC: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 4317)
    /// Where Graphite's and StatsD's lines are taken, by TCP and UDP; nil = nowhere.
    package var graphite: ListenAddress?
    package var statsD: ListenAddress?
    /// Where Jaeger's clients send datagrams; nil = nowhere.
    package var jaegerAgent: ListenAddress?
    /// Sockets for logs.
    package var logDoors = LogDoorOptions()
    /// How often StatsD's series are written.
    package var statsDFlushSeconds = 10.0
    /// How often what jobs pushed is written again.
    package var pushIntervalSeconds = 15.0
    package var enableLifecycle = false
    package var enableAdminAPI = false
    /// Where each query leaves a line; nil = nowhere.
    package var queryLogFile: String?
    /// Origins whose scripts may read answers, fully anchored; nil = any on Prometheus' paths, none
    /// elsewhere.
    package var corsOrigin: RegularExpression?
    package var queryTimeoutSeconds = 120.0
    package var queryConcurrency = 20
    package var querySamples = 50_000_000
    package var lookbackSeconds = 300.0
    package var features = QueryFeatures()
    /// Nil = a quarter of the memory limit.
    package var queryMemoryBytes: Int?
    /// Nil = 60 % of the cgroup or machine.
    package var memoryLimitBytes: Int?
    package var tenancy = Tenancy.off
    package var rules = RuleOptions()
    /// How long a client may take to send a request, and what it may send.
    var connection = ConnectionLimits()
    /// Sets the time a client may take to send a request; idle connections stay twice as long.
    package mutating func setReadTimeout(seconds: Double) {
        connection.bodySeconds = seconds
        connection.headSeconds = min(connection.headSeconds, seconds)
        connection.idleSeconds = 2 * seconds
    }
    /// Seconds after which a head is sealed whatever its size.
    package var sealAgeSeconds = 300.0
    /// Between two looks for parts to merge, down-sample or drop.
    package var compactionSeconds = 15.0
    /// Bounds of what waits for other servers.
    package var forwardBytes = 4 << 30
    package var forwardAgeSeconds = 86_400.0
    /// Level and form of the log, for `status/flags`; `LogOptions` are what counts.
    package var logLevel = "info"
    package var logFormat = "logfmt"

    package init() {}
}

extension ServerOptions {
    /// Every flag with its value, as `status/flags` lists them.
    var flags: [(name: String, value: String)] {
        func duration(_ seconds: Double) -> String {
            durationText(millis: Int64(min(seconds * 1000, 9e15)))
        }
        return [
            ("config.file", configurationFile ?? ""),
            ("config.auto-reload", "\(autoReload)"),
            ("config.auto-reload-interval", duration(autoReloadSeconds)),
            ("storage.path", storagePath),
            ("storage.retention.time", retentionSeconds.map(duration) ?? ""),
            ("storage.retention.size", retentionBytes.map { "\($0)B" } ?? ""),
            ("storage.seal-age", duration(sealAgeSeconds)),
            ("storage.compaction-interval", duration(compactionSeconds)),
            ("forward.max-bytes", "\(forwardBytes)B"),
            ("forward.max-age", duration(forwardAgeSeconds)),
            ("web.listen-address", listen.map(\.description).joined(separator: ",")),
            ("web.enable-lifecycle", "\(enableLifecycle)"),
            ("web.enable-admin-api", "\(enableAdminAPI)"),
            ("web.cors.origin", corsOrigin?.pattern ?? ".*"),
            ("web.read-timeout", duration(connection.bodySeconds)),
            ("otlp.http-listen-address", otlpHTTP?.description ?? "off"),
            ("otlp.grpc-listen-address", otlpGRPC?.description ?? "off"),
            ("jaeger.udp-listen-address", jaegerAgent?.description ?? "off"),
            ("graphite.listen-address", graphite?.description ?? "off"),
            ("statsd.listen-address", statsD?.description ?? "off"),
            ("statsd.flush-interval", duration(statsDFlushSeconds)),
            ("push.interval", duration(pushIntervalSeconds)),
        ] + logDoors.flags + [
            ("query.timeout", duration(queryTimeoutSeconds)),
            ("query.max-concurrency", "\(queryConcurrency)"),
            ("query.max-samples", "\(querySamples)"),
            ("query.lookback-delta", duration(lookbackSeconds)),
            ("query.memory-limit", queryMemoryBytes.map { "\($0)B" } ?? ""),
            ("query.log-file", queryLogFile ?? ""),
            ("enable-feature", features.enabled.joined(separator: ",")),
            ("memory.limit", memoryLimitBytes.map { "\($0)B" } ?? ""),
            ("tenancy", tenancy.rawValue),
            ("web.external-url", rules.externalURL ?? ""),
            ("rules.alert.for-outage-tolerance", duration(rules.outageToleranceSeconds)),
            ("rules.alert.for-grace-period", duration(rules.gracePeriodSeconds)),
            ("rules.alert.resend-delay", duration(rules.resendDelaySeconds)),
            ("rules.max-concurrent-evals", "\(rules.concurrentEvaluations)"),
            ("rules.watch", "\(rules.watches)"),
            ("alertmanager.notification-queue-capacity", "\(rules.queueCapacity)"),
            (
                "alertmanager.drain-notification-queue-on-shutdown",
                "\(rules.drainsQueueOnShutdown)"
            ),
            ("log.level", logLevel),
            ("log.format", logFormat),
        ]
    }
}

extension HTTPEndpoint.Options {
    init(_ options: ServerOptions) {
        tenancy = options.tenancy
        crossOrigin = CrossOrigin(options.corsOrigin)
        bodySeconds = options.connection.bodySeconds
        let memory = options.memoryLimitBytes ?? availableMemoryBytes() * 6 / 10
        bodyBytes = max(2 * OTLPIntake.bodyLimit, memory / 8)
    }
}
