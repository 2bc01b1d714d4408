// SPDX-License-Identifier: Apache-2.0
// Certificates for tests; made by openssl, valid for a hundred years, trusted by nobody.

/// An authority, a server named `tern.test` and a client, signed by the authority.
enum TestCertificates {
    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBlDCCATmgAwIBAgIUHG0bLZz+6WBMd9Gb54UzNGxGq2owCgYIKoZIzj0EAwIw
        HjEcMBoGA1UEAwwTdGVybiB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMzAwNzU4MzJa
        GA8yMTI2MTEwNjA3NTgzMlowHjEcMBoGA1UEAwwTdGVybiB0ZXN0IGF1dGhvcml0
        eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAiFna78wh83bDExDxsXoGhAW47y
        Z9PA5EsICi5la1I/76iSO4luX2ZOotAhOOFgAmmZWc/P1pCPKqYZOJEdKqajUzBR
        MB0GA1UdDgQWBBTXIcvvXELU32dEi8JMmqKaQfvWfTAfBgNVHSMEGDAWgBTXIcvv
        XELU32dEi8JMmqKaQfvWfTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kA
        MEYCIQCr5Lc8qNJoSSEGe+wVlCXzdBXDjT3p5es5sHFboM2qNAIhAJFiMAZQGoxl
        n/6Rt1T1XGMHWIY9fTK8gOhjuV4om8WC
        -----END CERTIFICATE-----
        """
    static let serverCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBizCCATGgAwIBAgIUOGv7OIIG7ZHdBJqIAguTRCxqBDcwCgYIKoZIzj0EAwIw
        HjEcMBoGA1UEAwwTdGVybiB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMzAwNzU4MzJa
        GA8yMTI2MTEwNjA3NTgzMlowETEPMA0GA1UEAwwGc2VydmVyMFkwEwYHKoZIzj0C
        AQYIKoZIzj0DAQcDQgAELgsv3L4aO4Mhgn2ur6MlHVLyyyY6tmuHcbwQlcFRo3DV
        YPssDgs+uATAQ/XVZ4UIvIQXI6IPOsRaWYp8L2pcv6NYMFYwFAYDVR0RBA0wC4IJ
        dGVybi50ZXN0MB0GA1UdDgQWBBQNnUPDCMZEM3NwV5/L0zzRjframjAfBgNVHSME
        GDAWgBTXIcvvXELU32dEi8JMmqKaQfvWfTAKBggqhkjOPQQDAgNIADBFAiBRA+89
        c8Sd+rTqC1XsSAdnCI53s9dMg6nXT/uGjE8TdAIhALxnLKPBprlQDGRRPBaohcf3
        Bw/YqRgqvprsZSpkehdU
        -----END CERTIFICATE-----
        """
    static let serverKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgW2rp/jnu2o6HHimD
        XZyl+lTa03hdOLGXzCEcoXMsf1GhRANCAAQuCy/cvho7gyGCfa6voyUdUvLLJjq2
        a4dxvBCVwVGjcNVg+ywOCz64BMBD9dVnhQi8hBcjog86xFpZinwvaly/
        -----END PRIVATE KEY-----
        """
    static let clientCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBjTCCATOgAwIBAgIUOGv7OIIG7ZHdBJqIAguTRCxqBDgwCgYIKoZIzj0EAwIw
        HjEcMBoGA1UEAwwTdGVybiB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMzAwNzU4MzJa
        GA8yMTI2MTEwNjA3NTgzMlowETEPMA0GA1UEAwwGY2xpZW50MFkwEwYHKoZIzj0C
        AQYIKoZIzj0DAQcDQgAEpK2tzjmGOT6QyWlqQnROpzrF1JsOsMZZc3CPoNrzLvt3
        BLdDJKi7OKNN1raMs6mLddFywVJbEB8buuc+ePp6W6NaMFgwFgYDVR0RBA8wDYIL
        Y2xpZW50LnRlc3QwHQYDVR0OBBYEFHWSvhIoOHeowmju6wsaUxYHYiYgMB8GA1Ud
        IwQYMBaAFNchy+9cQtTfZ0SLwkyaoppB+9Z9MAoGCCqGSM49BAMCA0gAMEUCIFjv
        pfPZM6/q1Sl7lqJJR9AteZoYTMLwsngnNbtGPM+jAiEAwUT/pAJcnpv8sGwAa9C1
        jhB4SfOQDiJjqsXZhXJIBWM=
        -----END CERTIFICATE-----
        """
    static let clientKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGbdN3RQVLjn1b/9u
        seR+YMlG79UUMM9A6W+9BUbS/f+hRANCAASkra3OOYY5PpDJaWpCdE6nOsXUmw6w
        xllzcI+g2vMu+3cEt0MkqLs4o03WtoyzqYt10XLBUlsQHxu65z54+npb
        -----END PRIVATE KEY-----
        """
}
