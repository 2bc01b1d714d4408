// SPDX-License-Identifier: Apache-2.0
// The outgoing client against real servers.

import AsyncHTTPClient
import Base
import FoundationEssentials
import NIOCore
import NIOSSL
import Scrape
import Telemetry
import TestKit
import Testing

@testable import Server

/// A client that is closed at the end.
private func withClient(
    environment: [String: String] = [:], clock: any Clock = SystemClock(),
    _ body: (OutgoingHTTP) async throws -> Void
) async throws {
    let client = OutgoingHTTP(clock: clock, environment: environment)
    do { try await body(client) } catch {
        await client.shutdown()
        throw error
    }
    await client.shutdown()
}

private func settings(_ yaml: String, in directory: String = "") throws -> HTTPClientSettings {
    let text = yaml.split(separator: "\n").map { "    \($0)\n" }.joined()
    let job = try Configuration.parse(
        "scrape_configs:\n  - job_name: a\n" + text, in: directory
    ).scrapes[0]
    return HTTPClientSettings(job.client)
}

private func request(_ url: String) -> OutgoingRequest { OutgoingRequest(url, timeoutSeconds: 60) }

private func keep(_ text: String, in file: String) throws {
    guard FileManager.default.createFile(atPath: file, contents: Data(text.utf8)) else {
        throw OutgoingError.failed("cannot write \(file)")
    }
}

/// A folder with files, removed at the end.
private func withFiles(
    _ files: [String: String], _ body: (String) async throws -> Void
) async throws {
    let folder =
        FileManager.default.temporaryDirectory.path + "/tern-outgoing-"
        + hexText(SystemRandom().next(), 16)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, text) in files {
        try keep(text, in: folder + "/" + name)
    }
    do { try await body(folder) } catch {
        try FileManager.default.removeItem(atPath: folder)
        throw error
    }
    try FileManager.default.removeItem(atPath: folder)
}

@Test func credentialsAndHeadersAreReadFromFilesForEveryRequest() async throws {
    let server = try await OutgoingServer { _ in CannedAnswer() }
    try await withFiles(["user": "u\n", "token": " t \n", "extra": "e\n"]) { folder in
        try await withClient { client in
            let basic = try settings(
                "basic_auth: {username_file: user, password: p}\n"
                    + "http_headers: {X-A: {values: [v], secrets: [s], files: [extra]}}", in: folder
            )
            _ = try await client.send(request(server.url), basic)
            let bearer = try settings("authorization: {credentials_file: token}", in: folder)
            _ = try await client.send(request(server.url), bearer)
            try keep("t2", in: folder + "/token")
            _ = try await client.send(request(server.url), bearer)
            let other = try settings("authorization: {type: X, credentials: c}")
            _ = try await client.send(request(server.url), other)
            let missing = try settings("bearer_token_file: gone", in: folder)
            await #expect(throws: OutgoingError.self) {
                _ = try await client.send(request(server.url), missing)
            }
            var own = request(server.url)
            own.headers = [NamedText("Authorization", "mine")]
            _ = try await client.send(own, other)
        }
    }
    #expect(
        server.requests.map { $0.headers["authorization"] ?? "" }
            == ["Basic dTpw", "Bearer t", "Bearer t2", "X c", "mine"])
    #expect(server.requests[0].headers["x-a"] == "e")
    #expect(server.requests[0].headers["user-agent"] == "Tern/" + Base.version)
    try await server.stop()
}

@Test func credentialsStayWithTheHostTheyAreFor() async throws {
    let elsewhere = try await OutgoingServer { _ in CannedAnswer(200, "there") }
    let there = "http://localhost:\(elsewhere.port)/there"
    let server = try await OutgoingServer { request in
        switch request.target {
        case "/near": CannedAnswer(302, headers: [("Location", "/here?a=1")])
        case "/far": CannedAnswer(307, headers: [("Location", there)])
        case "/loop": CannedAnswer(301, headers: [("Location", "/loop")])
        case "/nowhere": CannedAnswer(301, headers: [("Location", "ftp://x/")])
        default: CannedAnswer(200, "here")
        }
    }
    try await withClient { client in
        let options = try settings("bearer_token: s\nhttp_headers: {X-Key: {secrets: [k]}}")
        var near = request(server.url + "/near")
        near.method = "POST"
        near.body = [1]
        #expect(try await client.send(near, options).body == Array("here".utf8))
        #expect(server.requests[1].target == "/here?a=1" && server.requests[1].method == "GET")
        #expect(server.requests[1].headers["authorization"] == "Bearer s")

        var far = request(server.url + "/far")
        far.method = "POST"
        far.body = Array("kept".utf8)
        far.headers = [NamedText("Cookie", "c")]
        #expect(try await client.send(far, options).body == Array("there".utf8))
        let seen = try #require(elsewhere.requests.first)
        #expect(seen.method == "POST" && seen.body == "kept")
        for name in ["authorization", "x-key", "cookie"] { #expect(seen.headers[name] == nil) }

        var still = options
        still.followRedirects = false
        #expect(try await client.send(request(server.url + "/far"), still).status == 307)
        for (path, text) in [("/loop", "10 redirects"), ("/nowhere", "ftp://x/")] {
            do {
                _ = try await client.send(request(server.url + path), options)
                Issue.record("\(path) was answered")
            } catch { #expect("\(error)".contains(text), "\(error)") }
        }
    }
    try await elsewhere.stop()
    try await server.stop()
}

@Test func aCertificateIsCheckedAndOneIsShown() async throws {
    var tls = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMBytes(
            Array(TestCertificates.serverCertificate.utf8)
        ).map { .certificate($0) },
        privateKey: .privateKey(
            try NIOSSLPrivateKey(bytes: Array(TestCertificates.serverKey.utf8), format: .pem)))
    tls.certificateVerification = .noHostnameVerification
    tls.trustRoots = .certificates(
        try NIOSSLCertificate.fromPEMBytes(Array(TestCertificates.authority.utf8)))
    let server = try await OutgoingServer(tls: tls) { _ in CannedAnswer(200, "safe") }
    let url = "https://127.0.0.1:\(server.port)/a"
    let files = [
        "ca": TestCertificates.authority, "cert": TestCertificates.clientCertificate,
        "key": TestCertificates.clientKey,
    ]
    try await withFiles(files) { folder in
        try await withClient { client in
            let pair = "cert_file: cert, key_file: key"
            func ask(_ text: String) async throws -> OutgoingAnswer {
                try await client.send(
                    request(url), try settings("tls_config: {\(text)}", in: folder))
            }
            #expect(
                try await ask("ca_file: ca, server_name: tern.test, \(pair)").body
                    == Array("safe".utf8))
            let seen = try #require(server.requests.first)
            #expect(seen.clientName?.contains("client") == true)
            #expect(seen.headers["host"] == "127.0.0.1:\(server.port)")
            #expect(try await ask("insecure_skip_verify: true, \(pair)").status == 200)
            for bad in [
                "ca_file: ca, server_name: other.test, \(pair)", "ca_file: ca, \(pair)",
                "server_name: tern.test, \(pair)", "ca_file: ca, server_name: tern.test",
                "ca_file: key, server_name: tern.test, \(pair)",
            ] {
                await #expect(throws: OutgoingError.self, "\(bad)") { _ = try await ask(bad) }
            }
            // A new certificate is used without a reload.
            try keep("none", in: folder + "/ca")
            await #expect(throws: OutgoingError.self) {
                _ = try await ask("ca_file: ca, server_name: tern.test, \(pair)")
            }
        }
    }
    try await server.stop()
}

@Test func tokensAreFetchedOnceAndUntilTheyExpire() async throws {
    let issuer = try await OutgoingServer { request in
        // Takes credentials in the body only.
        guard request.body.contains("client_secret=s%2F1") else { return CannedAnswer(401) }
        return CannedAnswer(
            200, #"{"access_token":"abc","token_type":"bearer","expires_in":"100","more":[1]}"#)
    }
    let server = try await OutgoingServer { request in
        CannedAnswer(request.target == "/refused" ? 401 : 200)
    }
    let clock = ManualClock()
    try await withClient(clock: clock) { client in
        let options = try settings(
            "oauth2: {client_id: i, client_secret: s/1, token_url: \"\(issuer.url)/token\", "
                + "scopes: [a, b], endpoint_params: {audience: x y}}")
        for _ in 0..<3 { _ = try await client.send(request(server.url), options) }
        #expect(
            server.requests.map { $0.headers["authorization"] }
                == .init(repeating: "Bearer abc", count: 3))
        #expect(issuer.requests.count == 2)
        #expect(issuer.requests[0].headers["authorization"] == "Basic aTpzJTJGMQ==")
        #expect(
            issuer.requests[1].body
                == "grant_type=client_credentials&scope=a+b&audience=x+y&client_id=i"
                + "&client_secret=s%2F1")
        clock.advance(seconds: 91)
        _ = try await client.send(request(server.url), options)
        #expect(issuer.requests.count == 4)
        _ = try await client.send(request(server.url + "/refused"), options)
        _ = try await client.send(request(server.url), options)
        #expect(issuer.requests.count == 6)
        let wrong = try settings(
            "oauth2: {client_id: i, client_secret: t, token_url: \"\(issuer.url)\"}")
        do {
            _ = try await client.send(request(server.url), wrong)
            Issue.record("sent without a token")
        } catch { #expect("\(error)".contains("cannot fetch token: status 401"), "\(error)") }
    }
    try await issuer.stop()
    try await server.stop()
}

@Test func proxiesAreAskedForWholeURLs() async throws {
    let proxy = try await OutgoingServer { request in
        request.method == "CONNECT" ? CannedAnswer(407) : CannedAnswer(200, "by proxy")
    }
    let server = try await OutgoingServer { _ in CannedAnswer(200, "direct") }
    let target = "http://target.test:81/metrics?a=b"
    let address = "127.0.0.1:\(proxy.port)"
    let environment = ["HTTP_PROXY": address, "no_proxy": "10.0.0.0/8,other.test:81"]
    try await withClient(environment: environment) { client in
        let plain = try settings("proxy_url: http://me:secret@\(address)")
        #expect(try await client.send(request(target), plain).body == Array("by proxy".utf8))
        #expect(proxy.requests[0].target == target)
        #expect(proxy.requests[0].headers["host"] == "target.test:81")
        #expect(proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0")
        let tunnel = try settings(
            "proxy_url: http://\(address)\nproxy_connect_header: {X-C: [d]}")
        await #expect(throws: OutgoingError.self) {
            _ = try await client.send(request("https://target.test/"), tunnel)
        }
        #expect(proxy.requests[1].method == "CONNECT" && proxy.requests[1].headers["x-c"] == "d")
        let some = try settings("proxy_url: http://\(address)\nno_proxy: elsewhere.test")
        #expect(try await client.send(request(server.url), some).body == Array("direct".utf8))
        let inherited = try settings("proxy_from_environment: true")
        #expect(try await client.send(request(target), inherited).body == Array("by proxy".utf8))
    }
    for (host, isDirect) in [
        ("10.1.2.3", true), ("11.1.2.3", false), ("other.test:81", true), ("other.test", false),
        ("sub.other.test:81", true), ("another.test:81", false), ("localhost", true),
        ("[::1]", true),
    ] {
        var proxySettings = ProxySettings()
        proxySettings.isFromEnvironment = true
        let url = try #require(URL(string: "http://\(host)/"))
        let found = try proxySettings.server(for: url, environment: environment)
        #expect((found == nil) == isDirect, "\(host)")
    }
    try await proxy.stop()
    try await server.stop()
}

private func gzipped(_ bytes: [UInt8]) throws -> [UInt8] {
    guard var stream = DeflateStream(.gzip) else { throw OutgoingError.failed("no memory") }
    return try stream.write(bytes, isLast: true)
}

@Test func answersAreBounded() async throws {
    let page = [UInt8](repeating: 65, count: 100_000)
    let packed = try gzipped(page)
    let server = try await OutgoingServer { request in
        var answer = CannedAnswer(request.target == "/error" ? 500 : 200)
        answer.body = request.target == "/gzip" ? packed : page
        if request.target == "/gzip" { answer.headers = [("Content-Encoding", "gzip")] }
        return answer
    }
    try await withClient { client in
        func ask(_ path: String, _ limit: Int) async throws -> OutgoingAnswer {
            var call = request(server.url + path)
            call.bodyLimitBytes = limit
            return try await client.send(call)
        }
        #expect(try await ask("/", 100_000).body == page)
        #expect(try await ask("/gzip", 100_000).body == page)
        for path in ["/", "/gzip"] {
            await #expect(throws: OutgoingError.bodyTooLarge) { _ = try await ask(path, 99_999) }
        }
        #expect(try await ask("/error", 10).body.count == 65_536)
        let streamed = try await client.stream(request(server.url + "/")) { head, body in
            var count = 0
            for try await part in body { count += part.readableBytes }
            return count
        }
        #expect(streamed == 100_000)
    }
    try await server.stop()
    try await withClient { client in
        do {
            _ = try await client.send(request(server.url))
            Issue.record("answered")
        } catch { #expect("\(error)".contains("connection refused"), "\(error)") }
    }
}

@Test func clientOptionsAreValidatedAsUpstreamDoes() throws {
    let faults: [(text: String, error: String)] = [
        (
            "bearer_token: a\nbearer_token_file: b",
            "at most one of bearer_token & bearer_token_file"
        ),
        ("bearer_token: a\nbasic_auth: {username: u}", "at most one of basic_auth, oauth2, bearer"),
        (
            "bearer_token: a\nauthorization: {credentials: c}",
            "authorization is not compatible with"
        ),
        (
            "basic_auth: {username: u}\nauthorization: {credentials: c}",
            "basic_auth, oauth2 & author"
        ),
        ("basic_auth: {username: u, username_file: f}", "at most one of basic_auth username, "),
        ("basic_auth: {password: u, password_file: f}", "at most one of basic_auth password, "),
        ("basic_auth: {username: u, password_ref: f}", "cannot use secret ref without manager"),
        ("authorization: {type: Basic}", "use \"basic_auth\" instead"),
        (
            "authorization: {credentials: c, credentials_file: f}",
            "at most one of authorization cred"
        ),
        ("oauth2: {token_url: x}", "oauth2 client_id must be configured"),
        ("oauth2: {client_id: x}", "oauth2 token_url must be configured"),
        ("oauth2: {client_id: x, token_url: y, iss: z}", "only client_credentials is supported"),
        ("tls_config: {cert: a}", "exactly one of key or key_file"),
        ("tls_config: {key: a}", "exactly one of cert or cert_file"),
        ("tls_config: {ca: a, ca_file: b}", "at most one of ca, ca_file & ca_ref"),
        (
            "tls_config: {min_version: TLS13, max_version: TLS12}",
            "must be greater than or equal to"
        ),
        ("tls_config: {min_version: SSL3}", "unknown TLS version: SSL3"),
        ("no_proxy: a", "if no_proxy is configured, proxy_url must also be configured"),
        ("proxy_from_environment: true\nproxy_url: http://a", "proxy_url must not be configured"),
        ("proxy_connect_header: {a: [b]}", "if proxy_connect_header is configured"),
        ("proxy_url: https://a", "reached over https is not supported"),
        ("proxy_url: ftp://a", "proxy URL scheme must be http or socks5"),
        (
            "http_headers: {User-Agent: {values: [a]}}",
            "setting header \"User-Agent\" is not allowed"
        ),
        ("http_headers: {\"a b\": {values: [a]}}", "is not a valid header name"),
        ("tls_config: {cafile: a}", "field cafile not found in tls_config"),
    ]
    for fault in faults {
        do {
            _ = try settings(fault.text)
            Issue.record("accepted: \(fault.text)")
        } catch { #expect("\(error)".contains(fault.error), "\(fault.text): \(error)") }
    }
    #expect(try settings("honor_labels: true").options == .none)
    let shown = try "\(settings("basic_auth: {username: u, password: hunter2}"))"
    #expect(!shown.contains("hunter2") && shown.contains("<secret>"))
}
