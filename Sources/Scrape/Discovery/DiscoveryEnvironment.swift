// SPDX-License-Identifier: Apache-2.0
// What discovery needs from outside.

import Base

/// Why a discovery has nothing new to say; the targets it found before stay.
package struct DiscoveryError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// A request to a discovery API.
package struct DiscoveryRequest: Sendable, Equatable {
    package var method = "GET"
    /// `http`, `https`, or `http+unix` with the socket's path, percent-encoded, as host.
    package var url: String
    package var headers: [NamedText] = []
    package var body: [UInt8] = []
    /// Seconds until the whole answer must be there; of a stream, until its head must be.
    package var timeoutSeconds: Double
    package var bodyLimitBytes = 256 << 20
    package var client: ClientOptions

    package init(url: String, timeoutSeconds: Double, client: ClientOptions = .none) {
        self.url = url
        self.timeoutSeconds = timeoutSeconds
        self.client = client
    }
}

package struct DiscoveryAnswer: Sendable {
    package var status: Int
    /// Text of the status line after the number.
    package var reason: String
    package var headers: [NamedText]
    package var body: [UInt8]

    package init(
        status: Int, reason: String = "", headers: [NamedText] = [], body: [UInt8] = []
    ) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
    }

    func header(_ name: String) -> String {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value ?? ""
    }

    /// The status as Go's client writes it: `404 Not Found`.
    var statusText: String { reason.isEmpty ? "\(status)" : "\(status) \(reason)" }
}

/// How a program in or beside a cluster proves itself to the API server.
package struct ClusterCredentials: Hashable, Sendable {
    /// PEM, or the path of a file; the text wins.
    package var authority = ""
    package var authorityFile = ""
    package var certificate = ""
    package var certificateFile = ""
    package var key = ""
    package var keyFile = ""
    package var token = ""
    /// Read again for each request: tokens of service accounts are exchanged while they run.
    package var tokenFile = ""
    package var user = ""
    package var password = ""
    package var serverName = ""
    package var skipsVerification = false
    package var proxyURL = ""
    package init() {}
}

/// Whoever can ask an API over HTTP. Both end early when the task is cancelled.
package protocol DiscoveryFetching: Sendable {
    func fetch(_ request: DiscoveryRequest) async throws -> DiscoveryAnswer

    /// Hands over the body of a good answer (200) as it comes in, and returns at its end; the body
    /// of another one is in the answer.
    func stream(
        _ request: DiscoveryRequest, _ receive: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async throws -> DiscoveryAnswer

    /// The client options that stand for these credentials.
    func options(for credentials: ClusterCredentials) throws -> ClientOptions
}

/// Whoever can carry a DNS message to a server.
package protocol DNSTransport: Sendable {
    /// - Parameter overTCP: whether the message goes over a connection; without its length prefix.
    /// - Returns: answers to the message's id only; the first over UDP.
    func exchange(
        _ message: [UInt8], server: DNSServer, overTCP: Bool, timeoutSeconds: Double
    ) async throws -> [UInt8]
}

/// The address of a DNS server.
package struct DNSServer: Hashable, Sendable {
    /// An IP address, of IPv6 perhaps with a zone.
    package var host: String
    package var port: Int
    package init(host: String, port: Int = 53) {
        self.host = host
        self.port = port
    }
}

/// The seams through which discovery sees the world.
package struct DiscoveryEnvironment: Sendable {
    package var fetcher: any DiscoveryFetching
    package var dns: any DNSTransport
    package var clock: any Clock
    package var random: any RandomSource
    package var metrics: DiscoveryMetrics
    /// Turns YAML into JSON in which each scalar but null is a string.
    package var jsonOfYAML: @Sendable ([UInt8]) throws -> [UInt8]
    /// A variable of the process' environment.
    package var variable: @Sendable (String) -> String?
    /// Signs requests to AWS.
    package var digest: any RequestDigest
    package var files: WorkerPool
    /// Receives a line for the server's log.
    package var note: @Sendable (_ message: String, _ kind: String, _ set: String) -> Void
    package var userAgent = "Tern/" + Base.version

    package init(
        fetcher: any DiscoveryFetching, dns: any DNSTransport, clock: any Clock,
        random: any RandomSource, digest: any RequestDigest,
        jsonOfYAML: @escaping @Sendable ([UInt8]) throws -> [UInt8],
        variable: @escaping @Sendable (String) -> String?,
        note: @escaping @Sendable (String, String, String) -> Void = { _, _, _ in }
    ) {
        self.fetcher = fetcher
        self.dns = dns
        self.clock = clock
        self.random = random
        self.digest = digest
        metrics = DiscoveryMetrics()
        self.jsonOfYAML = jsonOfYAML
        self.variable = variable
        files = WorkerPool(name: "discovery-files", threads: 1, queueLimit: 1024)
        self.note = note
    }

    /// A small file's bytes, read off the cooperative pool.
    func read(_ path: String) async throws -> [UInt8] {
        try await files.run { try readSmallFile(path) }
    }
}

/// The two digests that signatures of AWS are made of.
package protocol RequestDigest: Sendable {
    func sha256(_ bytes: [UInt8]) -> [UInt8]
    func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8]
}

/// Bytes of a file of at most 64 MiB. Blocks.
func readSmallFile(_ path: String) throws -> [UInt8] {
    let limit = 64 << 20
    let files = LocalFileSystem()
    // Files of /proc and the like say 0.
    let size = try files.size(path) ?? 0
    guard size <= limit else { throw DiscoveryError("\(path) is larger than 64 MiB") }
    return try files.read(path, offset: 0, count: max(size, 1 << 20))
}
