// SPDX-License-Identifier: Apache-2.0
// The keys of `<http_config>`, which stand among those of whoever sends requests.

import Base
import Scrape
import Yams

/// Reads the keys of `<http_config>` with upstream's rules and texts.
///
/// Source: prometheus/common `config/http_config.go`, `Validate`.
extension YAMLSection {
    /// - Parameter directory: folder that relative file names are taken from.
    mutating func httpClient(
        in directory: String
    ) throws(ConfigurationError) -> HTTPClientSettings {
        var settings = HTTPClientSettings()
        settings.authentication = try authentication()
        settings.tls = try tls("tls_config")
        settings.proxy = try proxy()
        settings.followRedirects = try bool("follow_redirects") ?? true
        settings.enableHTTP2 = try bool("enable_http2") ?? true
        settings.headers = try httpHeaders()
        return settings.resolved(in: directory)
    }

    private mutating func authentication()
        throws(ConfigurationError) -> HTTPClientSettings.Authentication
    {
        let bearer = try string("bearer_token") ?? ""
        let bearerFile = try string("bearer_token_file") ?? ""
        var basic = try section("basic_auth")
        var authorization = try section("authorization")
        var oauth2 = try section("oauth2")
        let hasBearer = !bearer.isEmpty || !bearerFile.isEmpty
        if !bearer.isEmpty, !bearerFile.isEmpty {
            throw failure("at most one of bearer_token & bearer_token_file must be configured")
        }
        if basic != nil || oauth2 != nil, hasBearer {
            throw failure(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be "
                    + "configured")
        }
        if authorization != nil, hasBearer {
            throw failure("authorization is not compatible with bearer_token & bearer_token_file")
        }
        let count =
            (basic == nil ? 0 : 1) + (authorization == nil ? 0 : 1) + (oauth2 == nil ? 0 : 1)
        if count > 1 {
            throw failure("at most one of basic_auth, oauth2 & authorization must be configured")
        }
        if basic != nil {
            return .basic(try basic?.basicAuthentication() ?? .init(user: nil, password: nil))
        }
        if authorization != nil {
            return try authorization?.authorizationHeader() ?? .none
        }
        if oauth2 != nil { return .oauth2(try oauth2?.oauth2() ?? OAuth2Settings()) }
        if !bearer.isEmpty {
            return .authorization(.init(credentials: .inline(Secret(bearer))))
        }
        return bearerFile.isEmpty ? .none : .authorization(.init(credentials: .file(bearerFile)))
    }

    /// A text given as itself or in a file; at most one of them.
    private mutating func textSource(
        _ key: String, _ message: String
    ) throws(ConfigurationError) -> TextSource? {
        let text = try string(key) ?? ""
        let file = try string(key + "_file") ?? ""
        let reference = try string(key + "_ref") ?? ""
        let count = (text.isEmpty ? 0 : 1) + (file.isEmpty ? 0 : 1) + (reference.isEmpty ? 0 : 1)
        if count > 1 { throw failure(message) }
        if !reference.isEmpty {
            throw failure("\(key)_ref: cannot use secret ref without manager; use \(key)_file")
        }
        if !file.isEmpty { return .file(file) }
        return text.isEmpty ? nil : .inline(Secret(text))
    }

    private mutating func basicAuthentication()
        throws(ConfigurationError) -> HTTPClientSettings.BasicAuthentication
    {
        let user = try textSource(
            "username",
            "at most one of basic_auth username, username_file & username_ref must be configured")
        let password = try textSource(
            "password",
            "at most one of basic_auth password, password_file & password_ref must be configured")
        try finish()
        return .init(user: user, password: password)
    }

    private mutating func authorizationHeader()
        throws(ConfigurationError) -> HTTPClientSettings.Authentication
    {
        let type = trimmed(try string("type") ?? "")
        let credentials = try textSource(
            "credentials",
            "at most one of authorization credentials & credentials_file must be configured")
        if type.lowercased() == "basic" {
            throw failure(
                "authorization type cannot be set to \"basic\", use \"basic_auth\" instead")
        }
        try finish()
        return .authorization(.init(type: type.isEmpty ? "Bearer" : type, credentials: credentials))
    }

    private mutating func oauth2() throws(ConfigurationError) -> OAuth2Settings {
        var settings = OAuth2Settings()
        settings.clientID = try string("client_id") ?? ""
        settings.tokenURL = try string("token_url") ?? ""
        if settings.clientID.isEmpty { throw failure("oauth2 client_id must be configured") }
        settings.clientSecret = try textSource(
            "client_secret",
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be "
                + "configured")
        if let type = try string("grant_type"), !["", "client_credentials"].contains(type) {
            throw failure(
                "oauth2 grant_type \(quotedText(type)) is not supported: only client_credentials is"
            )
        }
        try refuse(
            [
                "client_certificate_key", "client_certificate_key_file",
                "client_certificate_key_ref", "client_certificate_key_id", "signature_algorithm",
                "iss", "audience", "claims",
            ], "these belong to grants by JWT; only client_credentials is supported")
        if settings.tokenURL.isEmpty { throw failure("oauth2 token_url must be configured") }
        settings.scopes = try strings("scopes") ?? []
        settings.endpointParameters = try (pairs("endpoint_params") ?? []).map {
            NamedText($0.name, $0.value)
        }.sorted { $0.name < $1.name }
        settings.tls = try tls("tls_config")
        settings.proxy = try proxy()
        try finish()
        return settings
    }

    /// A `tls_config`; the defaults when it is absent.
    mutating func tls(_ key: String) throws(ConfigurationError) -> TLSSettings {
        var settings = TLSSettings()
        guard var section = try section(key) else { return settings }
        func message(_ name: String) -> String {
            "at most one of \(name), \(name)_file & \(name)_ref must be configured"
        }
        settings.authorities = try section.textSource("ca", message("ca"))
        settings.certificate = try section.textSource("cert", message("cert"))
        settings.key = try section.textSource("key", message("key"))
        if settings.certificate != nil, settings.key == nil {
            throw section.failure(
                "exactly one of key or key_file must be configured when a client certificate is "
                    + "configured")
        }
        if settings.certificate == nil, settings.key != nil {
            throw section.failure(
                "exactly one of cert or cert_file must be configured when a client key is "
                    + "configured")
        }
        settings.serverName = try section.string("server_name") ?? ""
        settings.insecureSkipVerify = try section.bool("insecure_skip_verify") ?? false
        settings.minimum = try section.tlsVersion("min_version")
        settings.maximum = try section.tlsVersion("max_version")
        if let minimum = settings.minimum, let maximum = settings.maximum, maximum < minimum {
            throw section.failure(
                "tls_config.max_version must be greater than or equal to tls_config.min_version "
                    + "if both are specified")
        }
        try section.finish()
        return settings
    }

    private mutating func tlsVersion(
        _ key: String
    ) throws(ConfigurationError) -> TLSSettings.Version? {
        guard let text = try string(key) else { return nil }
        guard let version = TLSSettings.Version(rawValue: text) else {
            throw failure("unknown TLS version: \(text)")
        }
        return version
    }

    private mutating func proxy() throws(ConfigurationError) -> ProxySettings {
        var settings = ProxySettings()
        let url = try string("proxy_url") ?? ""
        settings.exceptions = try string("no_proxy") ?? ""
        settings.isFromEnvironment = try bool("proxy_from_environment") ?? false
        for (name, values) in try lists("proxy_connect_header") {
            settings.connectHeaders.append(.init(name: name, values: values.map { Secret($0) }))
        }
        if !settings.connectHeaders.isEmpty, !settings.isFromEnvironment, url.isEmpty {
            throw failure(
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must "
                    + "also be configured")
        }
        if settings.isFromEnvironment, !url.isEmpty {
            throw failure(
                "if proxy_from_environment is configured, proxy_url must not be configured")
        }
        if settings.isFromEnvironment, !settings.exceptions.isEmpty {
            throw failure(
                "if proxy_from_environment is configured, no_proxy must not be configured")
        }
        if url.isEmpty, !settings.exceptions.isEmpty {
            throw failure("if no_proxy is configured, proxy_url must also be configured")
        }
        if !url.isEmpty {
            do throws(ProxyServer.Unusable) { settings.server = try ProxyServer(url) } catch {
                throw failure("proxy_url: \(error)")
            }
        }
        return settings
    }

    /// A mapping of names to lists of texts, by name.
    mutating func lists(
        _ key: String
    ) throws(ConfigurationError) -> [(name: String, values: [String])] {
        guard let value = take(key) else { return [] }
        guard let mapping = value.withMergedKeys.mapping else {
            throw failure("\(key) must be a mapping", value)
        }
        var result: [(name: String, values: [String])] = []
        for (name, values) in mapping {
            let texts = values.sequence?.compactMap { $0.scalar?.string }
            guard let name = name.string, let texts, texts.count == values.sequence?.count else {
                throw failure("\(key) must map names to lists of texts", values)
            }
            result.append((name, texts))
        }
        return result.sorted { $0.name < $1.name }
    }

    private mutating func httpHeaders() throws(ConfigurationError) -> [HTTPClientSettings.Header] {
        guard let value = take("http_headers") else { return [] }
        guard let mapping = value.withMergedKeys.mapping else {
            throw failure("http_headers must be a mapping", value)
        }
        var result: [HTTPClientSettings.Header] = []
        for (key, node) in mapping {
            let name = key.string ?? ""
            if HTTPClientSettings.reservedHeaders.contains(name.lowercased()) {
                throw failure("setting header \(quotedText(name)) is not allowed", key)
            }
            guard isFieldName(name) else {
                throw failure("\(quotedText(name)) is not a valid header name", key)
            }
            var entry = try YAMLSection(node, "http_headers")
            let texts = try (entry.strings("values") ?? []) + (entry.strings("secrets") ?? [])
            let files = try entry.strings("files") ?? []
            try entry.finish()
            result.append(
                .init(
                    name: name, values: texts.map { .inline(Secret($0)) } + files.map { .file($0) })
            )
        }
        return result.sorted { $0.name < $1.name }
    }
}

/// Whether a text is a token of RFC 9110 section 5.6.2.
func isFieldName(_ text: String) -> Bool {
    let marks = Array("!#$%&'*+-.^_`|~".utf8)
    return !text.isEmpty
        && text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: marks.contains(byte)
            }
        }
}
