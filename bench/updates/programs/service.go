// A service for the images of single Go programs. Lines that begin with "v2:" are there since the second version.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type reading struct {
	Sensor string    `json:"sensor"`
	Value  float64   `json:"value"`
	At     time.Time `json:"at"`
}

type store struct {
	mutex    sync.Mutex
	readings map[string][]reading
}

var page = template.Must(template.New("page").Parse(`<ul>{{range .}}<li>{{.Sensor}}: {{.Value}}</li>{{end}}</ul>`))

func (s *store) add(one reading) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.readings[one.Sensor] = append(s.readings[one.Sensor], one)
}

func (s *store) last() []reading {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []reading
	for _, list := range s.readings {
		all = append(all, list[len(list)-1])
	}
	sort.Slice(all, func(a, b int) bool { return all[a].Sensor < all[b].Sensor })
	return all
}

// v2: func (s *store) mean(sensor string) (float64, error) {
// v2: 	s.mutex.Lock()
// v2: 	defer s.mutex.Unlock()
// v2: 	list := s.readings[sensor]
// v2: 	if len(list) == 0 {
// v2: 		return 0, fmt.Errorf("no readings of %q", sensor)
// v2: 	}
// v2: 	sum := 0.0
// v2: 	for _, one := range list {
// v2: 		sum += one.Value
// v2: 	}
// v2: 	return sum / float64(len(list)), nil
// v2: }

func main() {
	all := &store{readings: map[string][]reading{}}
	http.HandleFunc("/readings", func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			var one reading
			if err := json.NewDecoder(request.Body).Decode(&one); err != nil {
				http.Error(answer, err.Error(), http.StatusBadRequest)
				return
			}
			one.At = time.Now()
			all.add(one)
			return
		}
		_ = json.NewEncoder(answer).Encode(all.last())
	})
	// v2: http.HandleFunc("/mean", func(answer http.ResponseWriter, request *http.Request) {
	// v2: 	value, err := all.mean(request.URL.Query().Get("sensor"))
	// v2: 	fmt.Fprintln(answer, value, err)
	// v2: })
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		_ = page.Execute(answer, all.last())
	})
	address := strings.TrimSpace(os.Getenv("ADDRESS"))
	if address == "" {
		address = ":8080"
	}
	sum := sha256.Sum256([]byte(address))
	fmt.Println("listening on", address, hex.EncodeToString(sum[:4]))
	log.Fatal(http.ListenAndServe(address, nil))
}
