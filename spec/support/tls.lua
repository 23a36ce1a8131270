-- tls.lua - certificates for specs: an authority, a certificate of "localhost" (also 127.0.0.1 and ::1) signed by it, and a
-- second authority that has signed nothing. Made once for each run with the openssl command.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"

local M = {}

local SCRIPT = [[
set -e
cd '%s'
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=moonwire spec $1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -keyout $1.key -out $1.pem
}
authority authority
authority stranger
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr
cat > server.ext <<END
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
END
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile server.ext \
  -out server.pem
]]

---@return {ca: string, cert: string, key: string, stranger: string} files
function M.files()
  local directory = async.shared_directory("tls", function(directory)
    local log = directory .. "/log"
    local script = io.open(directory .. "/make.sh", "w")
    script:write(SCRIPT:format(directory))
    script:close()
    if not os.execute(("sh '%s/make.sh' > '%s' 2>&1"):format(directory, log)) then
      error("openssl failed:\n" .. io.open(log):read "a")
    end
  end)
  return {
    ca = directory .. "/authority.pem",
    cert = directory .. "/server.pem",
    key = directory .. "/server.key",
    stranger = directory .. "/stranger.pem",
  }
end

return M
