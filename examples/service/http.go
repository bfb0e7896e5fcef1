package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

// maxUpload bounds an upload, and thereby the memory of its analysis.
const maxUpload = 32 << 20

// accepted is the answer to a POST: the work is stored and will be done.
type accepted struct {
	ID     string       `json:"id"`
	Status tasks.Status `json:"status"`
	URL    string       `json:"url"`
}

func (s *service) postFile(w http.ResponseWriter, r *http.Request) {
	key, err := s.save(http.MaxBytesReader(w, r.Body, maxUpload))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		fail(w, http.StatusRequestEntityTooLarge, "the upload is over 32 MiB")
		return
	case err != nil:
		oops(w, r, err)
		return
	}
	res, err := s.analyse.Enqueue(r.Context(), key)
	if err != nil {
		oops(w, r, err)
		return
	}
	accept(w, res.ID, res.Status)
}

func (s *service) postSignup(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Email string `json:"email"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body)
	if err != nil || !strings.Contains(body.Email, "@") {
		fail(w, http.StatusBadRequest, `want {"email": "name@example.com"}`)
		return
	}
	res, err := s.signUp(r.Context(), body.Email)
	switch {
	case errors.Is(err, errExists):
		fail(w, http.StatusConflict, err.Error())
	case err != nil:
		oops(w, r, err)
	default:
		accept(w, res.ID, res.Status)
	}
}

// getTask shows any task's status, and its result or its error.
func (s *service) getTask(w http.ResponseWriter, r *http.Request) {
	res, err := s.app.GetResult(r.Context(), tasks.DefaultAlias, r.PathValue("id"))
	switch {
	case errors.Is(err, tasks.ErrResultNotFound):
		fail(w, http.StatusNotFound, "no such task")
		return
	case err != nil:
		oops(w, r, err)
		return
	}
	answer := struct {
		ID       string          `json:"id"`
		Task     string          `json:"task"`
		Status   tasks.Status    `json:"status"`
		Attempts int             `json:"attempts"`
		Result   json.RawMessage `json:"result,omitempty"`
		Error    string          `json:"error,omitempty"`
	}{ID: res.ID, Task: res.Task, Status: res.Status, Attempts: res.Attempts(), Result: res.Value}
	if last := res.LastError(); last != nil && res.Status != tasks.Successful {
		answer.Error = last.Message
	}
	reply(w, http.StatusOK, answer)
}

func accept(w http.ResponseWriter, id string, status tasks.Status) {
	reply(w, http.StatusAccepted, accepted{ID: id, Status: status, URL: "/tasks/" + id})
}

func fail(w http.ResponseWriter, code int, message string) {
	reply(w, code, map[string]string{"error": message})
}

// oops answers what is our fault, and tells only the log why.
func oops(w http.ResponseWriter, r *http.Request, err error) {
	slog.ErrorContext(r.Context(), "Request failed", "path", r.URL.Path, "error", err)
	fail(w, http.StatusInternalServerError, "internal error")
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Error("Reply failed", "error", err)
	}
}
