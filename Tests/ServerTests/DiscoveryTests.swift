// SPDX-License-Identifier: Apache-2.0
// Discovery from the configuration file to the targets, over real sockets.

import Base
import FoundationEssentials
import Ingest
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Scrape
@testable import Server

private struct PageFetcher: ScrapeFetching {
    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        ScrapeAnswer(status: 200, contentType: "text/plain", body: Array("a 1\n".utf8))
    }
}

private struct NoSink: ScrapeSink {
    func write(
        metrics: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport { MetricWriteReport() }
}

/// Scraping by a configuration file in a folder of its own.
private struct Running {
    let folder: String
    let scraping: Scraping

    init(_ folder: String, _ text: String) throws {
        self.folder = folder
        var options = ServerOptions()
        options.configurationFile = folder + "/tern.yml"
        try Running.write(text, folder + "/tern.yml")
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        scraping = Scraping(
            options, try loadConfiguration(folder + "/tern.yml"), logger, SystemClock())
        scraping.open(NoSink(), fetcher: PageFetcher())
        scraping.listening(on: ListenAddress(host: "127.0.0.1", port: 1))
    }

    static func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    var addresses: [String] {
        (scraping.scraper?.activeTargets ?? []).map { $0.target.labels["instance"] ?? "" }.sorted()
    }

    func reaches(_ expected: [String]) async -> Bool {
        for _ in 0..<30_000 {
            if addresses == expected { return true }
            do { try await SystemClock().sleep(seconds: 0.001) } catch { return false }
        }
        return addresses == expected
    }

    func discovered(_ index: Int = 0) -> [String: String] {
        guard let targets = scraping.scraper?.activeTargets, index < targets.count else {
            return [:]
        }
        return Dictionary(
            targets[index].target.discovered.pairs.map { ($0.name, $0.value) },
            uniquingKeysWith: { $1 })
    }

    func end() async { await scraping.end() }
}

private func pod(_ name: String, _ ip: String) -> String {
    """
    {"metadata":{"name":"\(name)","namespace":"shop","resourceVersion":"7"},\
    "spec":{"containers":[{"name":"c","ports":[{"containerPort":80,"protocol":"TCP"}]}]},\
    "status":{"podIP":"\(ip)"}}
    """
}

@Test func aClusterIsFollowedOverHTTP() async throws {
    let pods = Mutex([pod("a", "10.0.0.1")])
    let watches = Mutex<[AsyncStream<String>.Continuation]>([])
    let isForgotten = Mutex(false)
    let tokens = Mutex<Set<String>>([])
    let server = try await DiscoveryServer { request in
        tokens.withLock { _ = $0.insert(request.headers["authorization"] ?? "") }
        guard request.target.hasPrefix("/api/v1/namespaces/shop/pods?") else {
            return .plain(CannedAnswer(404, "{}"))
        }
        guard request.target.contains("watch=1") else {
            let items = pods.withLock { $0.joined(separator: ",") }
            return .plain(
                CannedAnswer(200, "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[\(items)]}")
            )
        }
        let forgotten = isForgotten.withLock { flag in
            defer { flag = false }
            return flag
        }
        if forgotten { return .plain(CannedAnswer(410, "{\"message\":\"too old\"}")) }
        let (stream, continuation) = AsyncStream<String>.makeStream()
        watches.withLock { $0.append(continuation) }
        return .stream(stream)
    }
    try await withTemporaryDirectory { folder in
        try Running.write("secret\n", folder + "/token")
        let running = try Running(
            folder,
            """
            scrape_configs:
              - job_name: pods
                kubernetes_sd_configs:
                  - role: pod
                    api_server: http://127.0.0.1:\(server.port)
                    namespaces: {names: [shop]}
                    authorization: {credentials_file: token}
            """)
        #expect(await running.reaches(["10.0.0.1:80"]))
        #expect(running.discovered()["__meta_kubernetes_pod_name"] == "a")
        func lastWatch() async -> AsyncStream<String>.Continuation? {
            for _ in 0..<30_000 {
                if let last = watches.withLock({ $0.last }) { return last }
                try? await SystemClock().sleep(seconds: 0.001)
            }
            return nil
        }
        let watch = try #require(await lastWatch())
        watch.yield("{\"type\":\"ADDED\",\"object\":\(pod("b", "10.0.0.2"))}\n")
        #expect(await running.reaches(["10.0.0.1:80", "10.0.0.2:80"]))
        watch.yield("{\"type\":\"MODIFIED\",\"object\":\(pod("b", "10.0.0.3"))}\n")
        #expect(await running.reaches(["10.0.0.1:80", "10.0.0.3:80"]))
        watch.yield("{\"type\":\"DELETED\",\"object\":\(pod("a", "10.0.0.1"))}\n")
        #expect(await running.reaches(["10.0.0.3:80"]))
        // The server forgets where the watch was; the list says what there is now.
        pods.withLock { $0 = [pod("c", "10.0.0.4")] }
        isForgotten.withLock { $0 = true }
        watch.finish()
        #expect(await running.reaches(["10.0.0.4:80"]))
        #expect(tokens.withLock { $0 } == ["Bearer secret"])
        await running.end()
    }
    for watch in watches.withLock({ $0 }) { watch.finish() }
    try await server.stop()
}

@Test func filesAndEndpointsComeAndGoWithTheConfiguration() async throws {
    let server = try await DiscoveryServer { request in
        let body = "[{\"targets\":[\"h:\(request.target.dropFirst())\"]}]"
        return .plain(CannedAnswer(200, body, headers: [("Content-Type", "application/json")]))
    }
    try await withTemporaryDirectory { folder in
        func configuration(_ path: Int) -> String {
            """
            scrape_configs:
              - job_name: files
                file_sd_configs: [{files: ["targets/*.yml"]}]
                relabel_configs: [{source_labels: [drop], regex: "1", action: drop}]
              - job_name: web
                http_sd_configs: [{url: "http://127.0.0.1:\(server.port)/\(path)"}]
            """
        }
        try FileManager.default.createDirectory(
            atPath: folder + "/targets", withIntermediateDirectories: false)
        try Running.write(
            "- targets: ['a:1']\n  labels: {zone: 7}\n- targets: ['b:1']\n  labels: {drop: 1}\n",
            folder + "/targets/x.yml")
        let running = try Running(folder, configuration(1))
        #expect(await running.reaches(["a:1", "h:1"]))
        #expect(running.discovered()["__meta_filepath"] == folder + "/targets/x.yml")
        #expect(running.discovered()["zone"] == "7")
        #expect(running.scraping.scraper?.droppedTargets.count == 1)

        try Running.write("- targets: ['a:1', 'c:1']\n", folder + "/targets/x.yml")
        #expect(await running.reaches(["a:1", "c:1", "h:1"]))
        try Running.write(configuration(2), folder + "/tern.yml")
        try await running.scraping.reload()
        #expect(await running.reaches(["a:1", "c:1", "h:2"]))
        let metrics = SelfMetrics()
        collectDiscovery(try #require(running.scraping.discovery), into: metrics)
        #expect(
            metrics.value("prometheus_sd_discovered_targets", "name=\"scrape\",config=\"files\"")
                == 2)
        await running.end()
    }
    try await server.stop()
}

@Test func containersAreFoundThroughASocket() async throws {
    try await withTemporaryDirectory { folder in
        let server = try await DiscoveryServer(socket: folder + "/d.sock") { request in
            switch request.target {
            case "/containers/json":
                return .plain(
                    CannedAnswer(
                        200,
                        """
                        [{"Id":"c","Names":["/c"],"HostConfig":{"NetworkMode":"n"},
                          "Ports":[{"PrivatePort":80,"Type":"tcp"}],
                          "NetworkSettings":{"Networks":{"n":{"IPAddress":"172.1.0.2"}}}}]
                        """))
            case "/networks": return .plain(CannedAnswer(200, "[]"))
            default: return .plain(CannedAnswer(404, "{}"))
            }
        }
        let running = try Running(
            folder,
            """
            scrape_configs:
              - job_name: docker
                docker_sd_configs: [{host: "unix://\(folder)/d.sock"}]
            """)
        #expect(await running.reaches(["172.1.0.2:80"]))
        await running.end()
        try await server.stop()
    }
}

@Test func nameServersAreAskedOverBothTransports() async throws {
    let server = try await FakeNameServer { question, overTCP in
        // A forged answer first, which has another id.
        overTCP ? [question + [1]] : [[9, 9], question + [0]]
    }
    let servers = NameServers()
    let address = DNSServer(host: "127.0.0.1", port: server.port)
    let question: [UInt8] = [1, 2, 3]
    for overTCP in [false, true] {
        let answer = try await servers.exchange(
            question, server: address, overTCP: overTCP, timeoutSeconds: 300)
        #expect(answer == question + [overTCP ? 1 : 0])
    }
    try await server.stop()
    await #expect(throws: (any Error).self) {
        _ = try await servers.exchange(
            question, server: address, overTCP: true, timeoutSeconds: 300)
    }
    let silent = try await FakeNameServer { _, _ in [] }
    await #expect(throws: DiscoveryError("no answer within 0.05 s")) {
        _ = try await servers.exchange(
            question, server: DNSServer(host: "127.0.0.1", port: silent.port), overTCP: false,
            timeoutSeconds: 0.05)
    }
    let waiting = Task {
        try await servers.exchange(
            question, server: DNSServer(host: "127.0.0.1", port: silent.port), overTCP: false,
            timeoutSeconds: 600)
    }
    waiting.cancel()
    await #expect(throws: (any Error).self) { _ = try await waiting.value }
    try await silent.stop()
}

// Made with another implementation of the signature (botocore's `SigV4Auth`).
@Test func requestsToAWSAreSigned() {
    let signer = AWSSigner(
        keys: AWSKeys(access: "AK", secret: "SECRET", token: "TOK"), region: "eu-west-2",
        service: "ec2", digest: SecureDigest())
    let headers = signer.headers(
        host: "ec2.eu-west-2.amazonaws.com", path: "/",
        body: Array("Action=DescribeInstances&Version=2016-11-15".utf8), seconds: 1_798_761_600)
    #expect(
        headers.first { $0.name == "authorization" }?.value
            == "AWS4-HMAC-SHA256 Credential=AK/20270101/eu-west-2/ec2/aws4_request, "
            + "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
            + "Signature=f319d38bf5eaf47dd518faf6e0914b980107d14549fd5254d3fb721d953aee1a")
}

@Test(arguments: [
    ("", "null"), ("a: 1\nb: [x, ~, 'y', 1.0]", #"{"a":"1","b":["x",null,"y","1.0"]}"#),
    ("- &l {k: v}\n- *l", #"[{"k":"v"},{"k":"v"}]"#),
])
func yamlAsJSON(yaml: String, json: String) throws {
    #expect(String(decoding: try jsonText(ofYAML: Array(yaml.utf8)), as: UTF8.self) == json)
}

@Test func yamlThatGrowsWithoutEndIsRefused() {
    var text = "a0: &a0 [xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx]\n"
    for level in 1..<12 {
        let alias = "*a\(level - 1)"
        text +=
            "a\(level): &a\(level) [\(Array(repeating: alias, count: 8).joined(separator: ", "))]\n"
    }
    #expect(throws: (any Error).self) { try jsonText(ofYAML: Array(text.utf8)) }
    #expect(throws: (any Error).self) { try jsonText(ofYAML: Array("a: 1\na: 2".utf8)) }
    #expect(throws: (any Error).self) { try jsonText(ofYAML: Array("a: [".utf8)) }
}

@Test func publicConfigurationsOfDiscovery() throws {
    guard let table = Corpora.file("config/prometheus-errors.json") else { return }
    let kinds = ["kubernetes_", "http_", "ec2_"]
    for row in try CorpusJSON(parsing: table).array {
        guard let file = row["file"]?.string, let expected = row["errorContains"]?.string,
            kinds.contains(where: { file.hasPrefix($0) }),
            let bytes = Corpora.file("config/prometheus/" + file)
        else { continue }
        do {
            _ = try Configuration.parse(String(decoding: bytes, as: UTF8.self))
            Issue.record("\(file) was accepted")
        } catch {
            #expect("\(error)".contains(expected), "\(file): \(error)")
        }
    }
    for file in Corpora.names(under: "config/prometheus")
    where file.hasPrefix("kubernetes_") && file.hasSuffix(".good.yml") {
        let bytes = try #require(Corpora.file("config/prometheus/" + file))
        _ = try Configuration.parse(String(decoding: bytes, as: UTF8.self))
    }
}
