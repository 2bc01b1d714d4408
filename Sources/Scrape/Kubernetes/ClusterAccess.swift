// SPDX-License-Identifier: Apache-2.0
// Where the API server is and how to prove who asks.

import Base

/// An API server and the client that may ask it.
struct ClusterAccess: Sendable {
    /// Without a slash at its end.
    var server: String
    var client: ClientOptions
    /// The pod's own namespace, when it was asked for.
    var ownNamespace = ""

    private static let account = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// - Throws: `DiscoveryError` when a file or a variable is missing or cannot be used.
    static func resolve(
        _ settings: KubernetesDiscoverySettings, _ client: ClientOptions,
        _ environment: DiscoveryEnvironment
    ) async throws -> ClusterAccess {
        if !settings.kubeconfigFile.isEmpty {
            return try await fromFile(settings.kubeconfigFile, environment)
        }
        if !settings.apiServer.isEmpty {
            return ClusterAccess(server: withoutSlash(settings.apiServer), client: client)
        }
        return try await inCluster(settings, environment)
    }

    /// Source: kubernetes.io, "Accessing the Kubernetes API from a Pod".
    private static func inCluster(
        _ settings: KubernetesDiscoverySettings, _ environment: DiscoveryEnvironment
    ) async throws -> ClusterAccess {
        guard let host = environment.variable("KUBERNETES_SERVICE_HOST"), !host.isEmpty,
            let port = environment.variable("KUBERNETES_SERVICE_PORT"), !port.isEmpty
        else {
            throw DiscoveryError(
                "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
                    + "KUBERNETES_SERVICE_PORT must be defined: set api_server or kubeconfig_file")
        }
        var credentials = ClusterCredentials()
        credentials.tokenFile = account + "/token"
        credentials.authorityFile = account + "/ca.crt"
        var access = ClusterAccess(
            server: "https://" + hostPort(host, port),
            client: try environment.fetcher.options(for: credentials))
        if settings.ownNamespace {
            let bytes = try await environment.read(account + "/namespace")
            access.ownNamespace = trimmedText(bytes)
            if access.ownNamespace.isEmpty {
                throw DiscoveryError("could not read own namespace name (empty file)")
            }
        }
        return access
    }

    /// The cluster and the user of a kubeconfig's current context. Source: kubernetes.io,
    /// "kubeconfig (v1)".
    private static func fromFile(
        _ path: String, _ environment: DiscoveryEnvironment
    ) async throws -> ClusterAccess {
        let tree = try JSONTree(environment.jsonOfYAML(try await environment.read(path)))
        func named(_ list: String, _ name: String, _ member: String) throws -> JSONTree {
            guard let found = tree[list].items.first(where: { $0["name"].text == name }) else {
                throw DiscoveryError("\(path): \(list) has no entry \(quotedText(name))")
            }
            return found[member]
        }
        let context = try named("contexts", tree["current-context"].text, "context")
        let cluster = try named("clusters", context["cluster"].text, "cluster")
        let server = cluster["server"].text
        guard WebAddress(server).scheme.hasPrefix("http") else {
            throw DiscoveryError("\(path): the server \(quotedText(server)) is no http(s) URL")
        }
        var credentials = ClusterCredentials()
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        func file(_ tree: JSONTree) -> String {
            let name = tree.text
            return name.isEmpty || name.hasPrefix("/") || folder.isEmpty
                ? name : folder + "/" + name
        }
        credentials.authority = try decoded(cluster["certificate-authority-data"])
        credentials.authorityFile = file(cluster["certificate-authority"])
        credentials.serverName = cluster["tls-server-name"].text
        credentials.skipsVerification = cluster["insecure-skip-tls-verify"].text == "true"
        credentials.proxyURL = cluster["proxy-url"].text
        let name = context["user"].text
        let user = name.isEmpty ? JSONTree.null : try named("users", name, "user")
        for unsupported in ["exec", "auth-provider"] where !user[unsupported].isNull {
            throw DiscoveryError(
                "\(path): \(unsupported) of user \(quotedText(name)) is not supported; use a token "
                    + "or a client certificate")
        }
        credentials.certificate = try decoded(user["client-certificate-data"])
        credentials.certificateFile = file(user["client-certificate"])
        credentials.key = try decoded(user["client-key-data"])
        credentials.keyFile = file(user["client-key"])
        credentials.token = user["token"].text
        credentials.tokenFile = file(user["tokenFile"])
        credentials.user = user["username"].text
        credentials.password = user["password"].text
        return ClusterAccess(
            server: withoutSlash(server), client: try environment.fetcher.options(for: credentials))
    }

    private static func decoded(_ tree: JSONTree) throws -> String {
        guard !tree.text.isEmpty else { return "" }
        var bytes: [UInt8] = []
        let text = Array(tree.text.utf8.filter { $0 != UInt8(ascii: "\n") })
        guard text.withUnsafeBytes({ appendDecodedBase64($0, to: &bytes) }) else {
            throw DiscoveryError("data in the kubeconfig is not valid base64")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func withoutSlash(_ url: String) -> String {
        var url = url[...]
        while url.hasSuffix("/") { url = url.dropLast() }
        return String(url)
    }
}

/// A file's text without white space around it.
func trimmedText(_ bytes: [UInt8]) -> String {
    var text = String(decoding: bytes, as: UTF8.self)[...]
    while text.first?.isWhitespace == true { text = text.dropFirst() }
    while text.last?.isWhitespace == true { text = text.dropLast() }
    return String(text)
}
